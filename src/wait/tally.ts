/** How many calls have waited, and how long: see PoolStats. */

/** How a wait ends. */
export type Ending = "served" | "timeout" | "abort" | "close";

export interface Waits {
  readonly waits: number;
  readonly timeouts: number;
  readonly aborts: number;
  readonly waitedMs: number;
  readonly waitTimes: readonly number[];
}

const TIMES = 32;

export class Tally {
  #timeouts = 0;
  #aborts = 0;
  #waitedMs = 0;
  readonly #times = Array.from({ length: TIMES }, () => 0);

  /** A wait has ended. Milliseconds below 0 count as 0: fake clocks may go backwards. */
  add(milliseconds: number, ending: Ending): void {
    if (ending === "timeout") this.#timeouts++;
    if (ending === "abort") this.#aborts++;
    const waited = Math.max(0, milliseconds);
    this.#waitedMs += waited;
    this.#times[Math.max(0, Math.min(TIMES - 1, Math.floor(Math.log2(waited * 1000))))]!++;
  }

  read(): Waits {
    const waitTimes = [...this.#times];
    return {
      waits: waitTimes.reduce((a, b) => a + b),
      timeouts: this.#timeouts,
      aborts: this.#aborts,
      waitedMs: this.#waitedMs,
      waitTimes,
    };
  }
}
