import type { SharedPool } from "../../src/index.ts";

export function overrun(pool: SharedPool, offset: number, count: number): { address: number; line: number };
export function allocate(pool: SharedPool, count: number): { addresses: number[]; line: number };
export function free(pool: SharedPool, address: number): number;
export function freeTogether(
  pool: SharedPool,
  addresses: readonly number[],
  words: Int32Array,
  threads: number,
): string[];
