/**
 * The boxes of a backend's elements, by their elements: an open hash table of 32-bit numbers that are not 0. A Map takes
 * several times as long, and makes an object for each number above 2^31.
 *
 * Invariant: from an element's home to where it is, every place has another element.
 */
const EMPTY = 0;
const FEWEST = 16;

export class BoxTable {
  /** By turns an element and its box; as many pairs as a power of two. */
  #words = new Uint32Array(2 * FEWEST);
  #used = 0;
  /** Leaves as many bits of a hash as number the pairs. */
  #shift = Math.clz32(FEWEST - 1);
  readonly #stays: (element: number, box: number) => boolean;

  /** `stays`: whether what is in the table is still so, asked when the table is full. */
  constructor(stays: (element: number, box: number) => boolean) {
    this.#stays = stays;
  }

  /** The box of an element; 0 if the table has none. */
  get(element: number): number {
    return this.#words[this.#find(element) + 1]!;
  }

  set(element: number, box: number): void {
    let at = this.#find(element);
    if (this.#words[at] === EMPTY) {
      if (4 * this.#used >= this.#words.length) {
        this.#renew(this.#used);
        at = this.#find(element);
      }
      this.#used++;
      this.#words[at] = element;
    }
    this.#words[at + 1] = box;
  }

  delete(element: number): void {
    const words = this.#words;
    const mask = words.length - 1;
    let hole = this.#find(element);
    if (words[hole] === EMPTY) return;
    this.#used--;
    // Those behind it move up, unless that were before their homes.
    for (let at = (hole + 2) & mask; words[at] !== EMPTY; at = (at + 2) & mask) {
      if (((at - this.#home(words[at]!)) & mask) < ((at - hole) & mask)) continue;
      words[hole] = words[at]!;
      words[hole + 1] = words[at + 1]!;
      hole = at;
    }
    words[hole] = EMPTY;
    words[hole + 1] = 0;
  }

  #home(element: number): number {
    return (Math.imul(element, 0x9e3779b1) >>> this.#shift) << 1;
  }

  /** Where an element is, or the empty place where it would be. */
  #find(element: number): number {
    const words = this.#words;
    const mask = words.length - 1;
    let at = this.#home(element);
    while (words[at] !== element && words[at] !== EMPTY) at = (at + 2) & mask;
    return at;
  }

  /** Makes room for so many more elements. */
  expect(count: number): void {
    if (4 * (this.#used + count) > this.#words.length) this.#renew(count);
  }

  /** Leaves out what is no longer so, and makes room for so many more. At most half full, a search is short, and ends. */
  #renew(count: number): void {
    const old = this.#words;
    let pairs = FEWEST;
    while (pairs < 2 * (this.#used + count)) pairs *= 2;
    this.#words = new Uint32Array(2 * pairs);
    this.#shift = Math.clz32(pairs - 1);
    this.#used = 0;
    for (let i = 0; i < old.length; i += 2) {
      const element = old[i]!;
      if (element === EMPTY || !this.#stays(element, old[i + 1]!)) continue;
      const at = this.#find(element);
      this.#words[at] = element;
      this.#words[at + 1] = old[i + 1]!;
      this.#used++;
    }
  }
}
