/** Samples, statistics and random order: everything here is repeatable from a seed but the times themselves. */
import { setTimeout as sleep } from "node:timers/promises";

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

function shuffle(list, random) {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

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

/**
 * Processor time of this process in ms: what others do on the machine meanwhile is not in it, as it is in the time of
 * day. Node and its like; elsewhere the time of day.
 */
export const clock =
  globalThis.process?.cpuUsage === undefined
    ? () => performance.now()
    : () => {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1000;
      };

/**
 * Times subjects by turns, in a new random order each round. A subject: `run()` does `ops` operations. Returns each
 * one's samples, ns per operation; sample k of all of them is from round k, so that ratios are of pairs.
 */
export async function interleave(subjects, { rounds, random, progress }) {
  // Engines compile hot code in the background and switch over at a later call.
  for (let i = 0; i < 6; i++) {
    for (const { run } of subjects) run();
    await sleep(20);
  }
  const samples = subjects.map(() => []);
  const order = subjects.map((_, i) => i);
  for (let round = 0; round < rounds; round++) {
    for (const i of shuffle(order, random)) {
      const { run, ops } = subjects[i];
      const start = clock();
      run();
      samples[i].push(((clock() - start) * 1e6) / ops);
    }
    progress?.(round / rounds);
  }
  return samples;
}

/** The median of paired ratios with its confidence interval, and where most of the ratios are. */
export function compare(ours, theirs, random) {
  const ratios = ours.map((sample, i) => sample / theirs[i]);
  return {
    ratio: median(ratios),
    ci: confidence(ratios, random),
    p5: quantile(ratios, 0.05),
    p95: quantile(ratios, 0.95),
  };
}

/** How far the same code against itself seems to be from 1. */
export function noiseOf(one, same, random) {
  const { ci } = compare(same, one, random);
  return Math.max(Math.abs(ci[0] - 1), Math.abs(ci[1] - 1));
}

/** What a ratio says about its goal, which is an upper limit. */
export function verdict({ ratio, ci }, noise, goal) {
  if (goal !== undefined) return ci[1] <= goal ? "met" : ci[0] > goal ? "missed" : "cannot tell";
  return Math.abs(ratio - 1) <= noise ? "no difference" : "";
}
