/**
 * The workloads. `step` gives a function of a number of steps; a step has `ops` pairs of an allocation and a free; the live
 * blocks between steps are in `slots`, the first and the number of slots.
 */
const churnOf = (count, low, span) => ({
  prepare: (core) => core.fill(0, count, low, span),
  step: (core) => (n) => core.churn(n, count, low, span),
  ops: 1,
  slots: [0, count],
});

export const workloads = {
  pair: {
    title: "One pair",
    workload: "allocate 64 bytes, free them",
    step: (core) => core.pair,
    ops: 1,
    bump: true,
    goal: 0.5,
  },
  waves: {
    title: "Waves",
    workload: "allocate 1,000 blocks of 64 bytes, then free them in the order they came",
    step: (core) => core.wave,
    ops: 1000,
    bump: true,
    goal: 0.5,
  },
  "churn-1k": {
    title: "Churn, 1,000 live",
    workload: "free one of 1,000 live blocks at random and allocate one of 16 to 143 bytes in its place",
    ...churnOf(1000, 16, 128),
    goal: 1,
  },
  "churn-10k": {
    title: "Churn, 10,000 live",
    workload: "free one of 10,000 live blocks at random and allocate one of 16 to 1,039 bytes in its place",
    ...churnOf(10_000, 16, 1024),
    goal: 1,
  },
  fragmented: {
    title: "Churn, 1,000 live, on a fragmented heap",
    workload:
      "before: 12,000 blocks, mostly small, at most 2,063 bytes, of which 9,000 are freed and 3,000 stay; then as churn, 1,000 live, with blocks of 16 to 1,039 bytes",
    prepare: (core) => {
      core.fragment(1000, 12_000);
      core.fill(0, 1000, 16, 1024);
    },
    step: (core) => (n) => core.churn(n, 1000, 16, 1024),
    ops: 1,
    slots: [0, 13_000],
  },
  larson: {
    title: "After larson",
    workload:
      "a server's generations: five sets of 1,000 blocks of 16 to 511 bytes; a set has 1,000 of its blocks replaced at random, then it is the next one's turn",
    prepare: (core) => core.fill(0, 5000, 16, 496),
    step: (core) => core.larson,
    ops: 1000,
    slots: [0, 5000],
  },
  xmalloc: {
    title: "After xmalloc-test",
    workload:
      "a queue of 64 batches of 120 blocks of 16 to 527 bytes: the oldest batch is freed in order, and a new one allocated; producer and consumer are one thread",
    prepare: (core) => core.fill(0, 7680, 16, 512),
    step: (core) => core.xmalloc,
    ops: 120,
    slots: [0, 7680],
  },
  sh6: {
    title: "After sh6bench",
    workload:
      "40 batches of 50 blocks of one size each, mostly small, at most 1,039 bytes; then all are freed, half of them in order, half backwards",
    step: (core) => core.sh6,
    ops: 2000,
    goal: 1,
  },
  sh8: {
    title: "After sh8bench",
    workload:
      "2,000 live blocks, mostly small, at most 1,039 bytes: a run of 32 neighbours is freed, in order or backwards, and allocated anew",
    prepare: (core) => core.fill(0, 2000, 16, 128),
    step: (core) => core.sh8,
    ops: 32,
    goal: 1,
    slots: [0, 2000],
  },
  mstress: {
    title: "After mimalloc's stress",
    workload:
      "100 blocks, mostly small, at most 2,063 bytes; a quarter changes places with one of 4,000 kept blocks, a fifth with one of 1,000 in transfer; then what is in their place is freed",
    prepare: (core) => core.fill(100, 5000, 16, 128),
    step: (core) => core.mstress,
    ops: 100,
    goal: 1,
    slots: [100, 5000],
  },
  scratch: {
    title: "After cache-scratch",
    workload: "one of 8 live blocks of 16 bytes is freed, another allocated, and a word of it changed 50 times",
    prepare: (core) => core.fill(0, 8, 16, 1),
    step: (core) => core.scratch,
    ops: 1,
  },
  toggle: {
    title: "After alloc-test",
    workload:
      "4,096 places, the lower the oftener: what is there is freed, or where nothing is, a block allocated, mostly small, at most 2,063 bytes",
    step: (core) => core.toggle,
    ops: 0.5,
    slots: [0, 4096],
  },
};

/** The workloads that JavaScript runs too. */
export const fromJavaScript = ["pair", "waves", "churn-1k", "churn-10k"];
