/** Shrinkers: callbacks that free what a program can do without, before an allocation fails or waits. */
import { report } from "./timers.ts";
import { callback } from "./validate.ts";

export class Shrinkers {
  readonly #all = new Set<() => void>();
  #isRunning = false;

  /** Returns a function that removes the shrinker. */
  register(apiName: string, shrinker: () => void): () => void {
    callback(apiName, "shrinker", shrinker);
    // A function registered twice is two shrinkers.
    const own = () => shrinker();
    this.#all.add(own);
    return () => this.#all.delete(own);
  }

  /** Calls every shrinker. False if there is none, or if one is running: then nothing has changed. */
  run(): boolean {
    if (this.#all.size === 0 || this.#isRunning) return false;
    this.#isRunning = true;
    for (const shrinker of Array.from(this.#all)) {
      // An earlier shrinker may have removed this one.
      if (!this.#all.has(shrinker)) continue;
      try {
        shrinker();
      } catch (error) {
        report(error);
      }
    }
    this.#isRunning = false;
    return true;
  }
}
