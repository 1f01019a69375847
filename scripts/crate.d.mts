export function crate(): Promise<string>;
