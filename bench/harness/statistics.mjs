/** Statistics and random order, repeatable from a seed. */

/** A generator of numbers in [0, 1): mulberry32. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The same items in a random order. */
export const shuffled = (list, random) =>
  list
    .map((item) => [random(), item])
    .toSorted(([a], [b]) => a - b)
    .map(([, item]) => item);

/** The p-quantile, 0 <= p <= 1, of numbers in any order. */
export function quantile(numbers, p) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = p * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.ceil(at)] - sorted[low]);
}

export const median = (numbers) => quantile(numbers, 0.5);

/** A 95 % confidence interval of the median, by bootstrap. */
export function confidence(numbers, random, resamples = 1000) {
  const medians = Array.from({ length: resamples }, () =>
    median(numbers.map(() => numbers[Math.floor(random() * numbers.length)])),
  );
  return [quantile(medians, 0.025), quantile(medians, 0.975)];
}

/** The median of the ratios of paired samples, with its confidence interval. */
export function compare(some, others, random) {
  const ratios = some.map((sample, i) => sample / others[i]);
  return { ratio: median(ratios), ci: confidence(ratios, random) };
}

/** The distance of an interval's farther end from 1. */
export const noiseOfInterval = ([low, high]) => Math.max(Math.abs(low - 1), Math.abs(high - 1));

/** The noise: how far the same code seems to be from itself. */
export const noiseOf = (one, same, random) => noiseOfInterval(compare(same, one, random).ci);

/** The verdict of a ratio of times. */
export function verdictOf({ ratio, ci: [low, high] }, noise) {
  if (Math.abs(ratio - 1) <= noise || (low <= 1 && high >= 1)) return "no difference";
  return ratio > 1 ? "slower" : "faster";
}

/** A goal of a table: a limit that the whole interval must keep, an upper one unless `atLeast`. */
export function goalOf(text, { ratio: value, ci }, goal, { atLeast = false } = {}) {
  const [low, high] = ci ?? [value, value];
  const isMet = atLeast ? low >= goal : high <= goal;
  const isMissed = atLeast ? high < goal : low > goal;
  return { text, value, ...(ci && { ci }), goal, verdict: isMet ? "met" : isMissed ? "missed" : "cannot tell" };
}

/** A row of a table: a side, its samples, and its ratio to `of.side` if `of` is given. */
export function rowOf(side, samples, { of, noise, random, stats, extra } = {}) {
  const row = { side, samples, stats: { median: median(samples), ...stats } };
  if (of) {
    const result = compare(samples, of.samples, random);
    row.ratio = { of: of.side, ...result, verdict: verdictOf(result, noise) };
  }
  return extra ? { ...row, extra } : row;
}

/** A row of a figure that has no spread. */
export const exactRow = (side, value, extra) => rowOf(side, [value], { extra });
