/** The workloads, run from JavaScript: the same steps from the same random numbers as guests/c/loops.c. */

const common = `
  const u32 = new Uint32Array(memory.buffer ?? memory.buf);
  const address = state.address, size_of = state.sizes;
  let seed = state.seed, sum = state.sum;
  const next = () => { seed ^= seed << 13; seed ^= seed >>> 17; seed ^= seed << 5; seed >>>= 0; return seed; };
  const below = (limit) => Math.floor((next() * limit) / 4294967296);`;

const put = (alloc) => `{
  const p = ${alloc};
  if (p === 0) throw new Error("no memory");
  u32[p >>> 2] = size + slot; u32[(p >>> 2) + (size >>> 2) - 1] = size ^ slot;
  address[slot] = p; size_of[slot] = size; }`;

const drop = (free) => `{
  const p = address[slot], size = size_of[slot];
  sum = (sum + (u32[p >>> 2] ^ u32[(p >>> 2) + (size >>> 2) - 1])) >>> 0;
  ${free}; }`;

const bodies = {
  pair: ({ alloc64, free64 }) => `
    for (let i = 0; i < n; i++) {
      const p = ${alloc64};
      if (p === 0) throw new Error("no memory");
      u32[p >>> 2] = i; u32[(p >>> 2) + 15] = ~seed;
      sum = (sum + (u32[p >>> 2] ^ u32[(p >>> 2) + 15])) >>> 0;
      ${free64};
    }`,
  waves: ({ alloc64, free64 }) => `
    const size = 64;
    for (let i = 0; i < n; i++) {
      for (let slot = 0; slot < 1000; slot++) ${put(alloc64)}
      for (let slot = 0; slot < 1000; slot++) ${drop(free64)}
    }`,
  churn: ({ alloc, free }, [count, low, span]) => `
    for (let i = 0; i < n; i++) {
      const slot = below(${count}); ${drop(free)}
      const size = ${low} + below(${span}); ${put(alloc)}
    }`,
  fill: ({ alloc }, [count, low, span]) => `
    for (let slot = 0; slot < ${count}; slot++) { const size = ${low} + below(${span}); ${put(alloc)} }`,
};

const kinds = { "churn-1k": ["churn", 1000, 16, 128], "churn-10k": ["churn", 10_000, 16, 1024] };
let made = 0;

/**
 * A function of the number of steps that returns the sum of the words it read. The texts differ: an engine shares what it
 * learns between functions of one text.
 */
export function loopOf(workload, subject, seed) {
  const state = { address: new Uint32Array(16384), sizes: new Uint32Array(16384), seed, sum: 0 };
  const names = Object.keys(subject.used);
  const compile = (body) => {
    const text = `/* ${made++} */ ${common} ${body} state.seed = seed; state.sum = sum; return sum;`;
    const loop = new Function("n", "state", "memory", ...names, text);
    const values = Object.values(subject.used);
    return (n) => loop(n, state, subject.memory, ...values);
  };
  const [kind, ...numbers] = kinds[workload] ?? [workload];
  if (kind === "churn") compile(bodies.fill(subject, numbers))(0);
  return compile(bodies[kind](subject, numbers));
}
