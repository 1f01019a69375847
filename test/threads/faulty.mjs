/** Faults that a worker of debug.test.ts makes, in a file of its own: reports name its lines. */

/** The line below this call, as reports name it. */
const lineBelow = () => Number(/faulty\.mjs:(\d+)/.exec(new Error("here").stack.split("\n")[2])[1]) + 1;

/** Writes `count` bytes from an offset of a new element on. */
export function overrun(pool, offset, count) {
  const line = lineBelow();
  const address = pool.alloc();
  pool.heap.u8.fill(7, address + offset, address + offset + count);
  return { address, line };
}

export function allocate(pool, count) {
  const line = lineBelow();
  const addresses = Array.from({ length: count }, () => pool.alloc());
  return { addresses, line };
}

/** Frees an element. */
export function free(pool, address) {
  const line = lineBelow();
  pool.free(address);
  return line;
}

/**
 * Frees each element of a list at the same instant as another thread does: `word` of the memory counts the threads that have
 * come to the next. Returns what each free threw, or "".
 */
export function freeTogether(pool, addresses, words, threads) {
  return addresses.map((address, i) => {
    Atomics.add(words, i, 1);
    while (Atomics.load(words, i) < threads);
    try {
      pool.free(address);
      return "";
    } catch (error) {
      return `${error.code} ${error.message}`;
    }
  });
}
