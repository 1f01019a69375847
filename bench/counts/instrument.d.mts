export type Counter = "instructions" | "accesses" | "locked";
export const counters: readonly Counter[];
export function instrument(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
