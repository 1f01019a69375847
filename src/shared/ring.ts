/**
 * A bounded ring of numbers in shared memory, for any number of threads that push and pop.
 *
 *     word  0      MAGIC
 *           1      the most numbers in it
 *           2      1 once it is closed
 *           16     head: pops so far      modulo 2^32
 *           32     tail: pushes so far
 *           48     sleepers: threads that may wait for a pop; 49: for a push
 *           64 ... slots: a number, or below LEAST the mark of an empty one. Position p is in slot p modulo the number of
 *                  slots, a power of two
 *
 * One compare-exchange of a slot is the whole of a push, and of a pop: it puts a number in, or takes it out, and no other word
 * decides whose the number is. Head and tail only say where to look. A thread that finds one behind its slot moves it on, so a
 * thread that stops or dies at any instruction leaves nothing that others wait for, and no number is lost or popped twice.
 *
 * A pop leaves the number of the next round as the mark, so that a push which began in an earlier round fails. Two things can
 * still go out of turn: a pop that stopped until the same number came to the same slot again, which leaves a hole that the
 * others step over; and a push that stopped for exactly LEAST rounds. Its number may be beyond tail: it is popped when tail
 * comes there, or when nothing else is left.
 */
const MAGIC = 0x676e6972;
const [CAPACITY, CLOSED, HEAD, TAIL, SLOTS] = [1, 2, 16, 32, 64];
/** What a thread waits for: the word that changes then, and the word that counts the waiters. */
export const ROOM = { word: HEAD, sleepers: 48 } as const;
export const ITEM = { word: TAIL, sleepers: 49 } as const;
export type Event = typeof ROOM | typeof ITEM;

/** The slots of a ring of so many numbers. */
const slotsOf = (capacity: number): number => 2 ** Math.ceil(Math.log2(capacity));

/** The least number; no element is below it, since a heap's structures come first. */
export const LEAST = 1024;
const isNumber = (word: number): boolean => word >>> 0 >= LEAST;

export const bytesOfRing = (capacity: number): number => 4 * (SLOTS + slotsOf(capacity));

export class Ring {
  readonly capacity: number;
  readonly words: Int32Array;
  readonly #mask: number;
  readonly #shift: number;

  /** The ring of so many numbers at an address. It never moves, and growth of the memory does its words no harm. */
  constructor(buffer: ArrayBufferLike, address: number, capacity: number) {
    this.capacity = capacity;
    this.words = new Int32Array(buffer, address, bytesOfRing(capacity) / 4);
    this.#mask = slotsOf(capacity) - 1;
    this.#shift = Math.log2(slotsOf(capacity));
  }

  /** Writes an empty ring. No other thread has it yet. */
  clear(): void {
    this.words.fill(0);
    this.words[CAPACITY] = this.capacity;
    Atomics.store(this.words, 0, MAGIC);
  }

  /** Whether there is a ring of this capacity. */
  get isRing(): boolean {
    return Atomics.load(this.words, 0) === MAGIC && this.words[CAPACITY] === this.capacity;
  }

  get isClosed(): boolean {
    return Atomics.load(this.words, CLOSED) === 1;
  }

  close(): void {
    Atomics.store(this.words, CLOSED, 1);
    for (const { word } of [ROOM, ITEM]) Atomics.notify(this.words, word);
  }

  /** Numbers in the ring; while other threads push and pop, at some moment of the call. */
  get size(): number {
    const head = Atomics.load(this.words, HEAD);
    return Math.min(this.capacity, Math.max(0, (Atomics.load(this.words, TAIL) - head) | 0));
  }

  /** Whether a number is in the ring. */
  has(number: number): boolean {
    for (let i = 0; i <= this.#mask; i++) if (Atomics.load(this.words, SLOTS + i) === (number | 0)) return true;
    return false;
  }

  /** Whether there was room for a number. */
  push(number: number): boolean {
    const { words, capacity } = this;
    for (;;) {
      const tail = Atomics.load(words, TAIL);
      const head = Atomics.load(words, HEAD);
      const slot = SLOTS + (tail & this.#mask);
      if (((tail - head) | 0) >= capacity) {
        // Position head is filled, since tail is beyond it: an empty slot there has been popped.
        if (!isNumber(Atomics.load(words, SLOTS + (head & this.#mask)))) this.#advance(HEAD, head);
        else if (Atomics.load(words, HEAD) === head) return false;
        continue;
      }
      const mark = Atomics.load(words, slot);
      if (Atomics.load(words, TAIL) !== tail) continue;
      if (isNumber(mark)) {
        this.#advance(TAIL, tail);
        continue;
      }
      if (Atomics.compareExchange(words, slot, mark, number | 0) !== mark) continue;
      this.#advance(TAIL, tail);
      this.#wake(ITEM);
      return true;
    }
  }

  /** A number, or 0 if there is none. */
  pop(): number {
    const { words } = this;
    for (;;) {
      const head = Atomics.load(words, HEAD);
      const tail = Atomics.load(words, TAIL);
      const slot = SLOTS + (head & this.#mask);
      const number = Atomics.load(words, slot);
      if (Atomics.load(words, HEAD) !== head) continue;
      if (!isNumber(number)) {
        if (tail === head) {
          const stray = this.#sweep();
          if (stray !== undefined) return stray;
        } else {
          // It was filled before tail went beyond it.
          this.#advance(HEAD, head);
        }
        continue;
      }
      // Before the number goes: else another could be pushed to this position, and head would leave that behind.
      if (tail === head) this.#advance(TAIL, tail);
      if (Atomics.compareExchange(words, slot, number, this.#markAfter(head)) !== number) continue;
      this.#advance(HEAD, head);
      this.#wake(ROOM);
      return number >>> 0;
    }
  }

  /** Of an empty ring: a number that is not between head and tail, or 0; undefined if the ring is no longer empty. */
  #sweep(): number | undefined {
    const { words } = this;
    for (let slot = SLOTS; slot <= SLOTS + this.#mask; slot++) {
      const number = Atomics.load(words, slot);
      if (!isNumber(number)) continue;
      const head = Atomics.load(words, HEAD);
      // Head never passes tail: equal now, they were equal all the while between.
      if (Atomics.load(words, TAIL) !== head || slot === SLOTS + (head & this.#mask)) return undefined;
      if (Atomics.compareExchange(words, slot, number, this.#markAfter(head)) === number) return number >>> 0;
    }
    return 0;
  }

  /** The mark of an empty slot in the round after that of a position. */
  #markAfter(position: number): number {
    return ((position >>> this.#shift) + 1) % LEAST;
  }

  #advance(word: number, from: number): boolean {
    return Atomics.compareExchange(this.words, word, from, (from + 1) | 0) === from;
  }

  #wake({ word, sleepers }: Event): void {
    if (Atomics.load(this.words, sleepers) !== 0) Atomics.notify(this.words, word);
  }
}
