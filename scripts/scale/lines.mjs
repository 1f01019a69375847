/**
 * A model of cache lines: each thread has a core and a cache of its own, without end; a line of 64 bytes is in any number of
 * caches to be read, or in one to be written. A transfer is an access to a line that another thread has written, or a write to
 * one that another has read. The first touch of a line is none.
 */
const SHIFT = 6;
const NOBODY = -1;

export class Lines {
  #owner;
  #low;
  #high;
  #moved;
  transfers = 0;
  locked = 0;

  constructor(bytes) {
    this.#owner = new Int8Array(bytes >>> SHIFT).fill(NOBODY);
    this.#low = new Uint32Array(bytes >>> SHIFT);
    this.#high = new Uint32Array(bytes >>> SHIFT);
    this.#moved = new Uint32Array(bytes >>> SHIFT);
  }

  /** Forgets the counts, not who has which line. */
  clear() {
    this.transfers = 0;
    this.locked = 0;
    this.#moved.fill(0);
  }

  /** An atomic operation: a load (0), a guess (3), or one that writes. */
  atomic(thread, kind, address, bytes) {
    if (kind === 0 || kind === 3) return this.read(thread, address, bytes);
    this.locked++;
    this.write(thread, address, bytes);
  }

  read(thread, address, bytes) {
    for (let line = address >>> SHIFT; line <= (address + bytes - 1) >>> SHIFT; line++) {
      if (this.#has(thread, line)) continue;
      if (this.#owner[line] !== NOBODY) this.#move(line);
      this.#add(thread, line);
    }
  }

  write(thread, address, bytes) {
    for (let line = address >>> SHIFT; line <= (address + bytes - 1) >>> SHIFT; line++) {
      const others =
        thread < 32
          ? this.#high[line] | (this.#low[line] & ~(1 << thread))
          : this.#low[line] | (this.#high[line] & ~(1 << (thread - 32)));
      const isForeign = this.#owner[line] !== NOBODY && this.#owner[line] !== thread;
      if (others !== 0 || (isForeign && !this.#has(thread, line))) this.#move(line);
      this.#low[line] = this.#high[line] = 0;
      this.#add(thread, line);
      this.#owner[line] = thread;
    }
  }

  /** The transfers and locked operations, and the transfers of the line that moved most. */
  figures() {
    return { transfers: this.transfers, locked: this.locked, hottest: this.#moved.reduce((a, b) => Math.max(a, b)) };
  }

  #has(thread, line) {
    return ((thread < 32 ? this.#low[line] >>> thread : this.#high[line] >>> (thread - 32)) & 1) === 1;
  }

  #add(thread, line) {
    if (thread < 32) this.#low[line] |= 1 << thread;
    else this.#high[line] |= 1 << (thread - 32);
  }

  #move(line) {
    this.transfers++;
    this.#moved[line]++;
  }
}
