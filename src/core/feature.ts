/** A part of the package that a program has, and ships, only if it imports that part. */
import { MempoolError } from "./errors.ts";

export class Feature<T> {
  #value: T | undefined;
  readonly #from: string;

  /** `from`: the subpath whose import provides the part. */
  constructor(from: string) {
    this.#from = from;
  }

  provide(value: T): void {
    this.#value = value;
  }

  /** @throws `ERR_NOT_IMPORTED`. */
  get(apiName: string): T {
    if (this.#value !== undefined) return this.#value;
    throw new MempoolError("ERR_NOT_IMPORTED", `${apiName}: needs import "${this.#from}"`);
  }
}
