/** An audio worklet that allocates in each quantum, after the smoke test: no loader, no decoder, no clock is here. */
import { createHeap } from "wasm-mempool";
import { smoke } from "../smoke.mjs";

const QUANTA = 10;
const missing = ["TextDecoder", "atob", "fetch", "performance", "setTimeout"].filter((name) => !(name in globalThis));

class Smoke extends AudioWorkletProcessor {
  constructor() {
    super();
    try {
      this.done = { elements: smoke(), missing, quanta: 0 };
      this.pool = createHeap({ initial: 131072, maximum: 131072 }).create({ size: 64, minNr: 128 });
      this.frame = new Uint32Array(128);
    } catch (error) {
      this.port.postMessage({ error: String(error) });
    }
  }

  process() {
    if (!this.pool) return false;
    if (!this.pool.allocBulk(this.frame)) throw new Error("allocBulk found no memory");
    this.pool.freeBulk(this.frame);
    this.done.quanta++;
    if (this.done.quanta === QUANTA) this.port.postMessage(this.done);
    return this.done.quanta < QUANTA;
  }
}
registerProcessor("smoke", Smoke);
