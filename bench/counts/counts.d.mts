import type { Counter } from "./instrument.mjs";
export type Counts = Readonly<Record<"calls" | Counter, number>>;
/** By module and workload. */
export type Counted = Readonly<Record<string, Readonly<Record<string, Counts>>>>;
export const file: URL;
export const update: string;
export function measure(): Counted;
export function recorded(): Counted;
export function format(counted: Counted): string;
export function differences(before: Counted, now: Counted): string[];
export function message(lines: readonly string[]): string;
