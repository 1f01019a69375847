/** Watermarks: a listener hears that something runs low, from a timer and never inside alloc. */
import { report, Ticker } from "./timers.ts";
import { callback } from "./validate.ts";

/** Milliseconds between two looks. */
const LOOK = 20;

interface Watermark {
  readonly below: number;
  /** Undefined once there is nothing left to watch: then the watermark ends. */
  readonly read: () => number | undefined;
  readonly listener: (left: number) => void;
  isLow: boolean;
}

/** The watermarks of a heap in this thread. Their timer keeps neither the heap nor the process alive. */
export class Watermarks {
  readonly all: Set<Watermark> = new Set();
  readonly ticker: Ticker = new Ticker();

  /**
   * Calls `listener` with the number that `read` gives once that is below `below`; again when it has been above in between.
   * Returns a function that stops this. In a host without timers, an AudioWorklet, the listener is never called.
   */
  add(apiName: string, below: number, read: Watermark["read"], listener: Watermark["listener"]): () => void {
    callback(apiName, "listener", listener);
    const watermark: Watermark = { below, read, listener, isLow: false };
    this.all.add(watermark);
    start(this.ticker, new WeakRef(this));
    return () => {
      this.all.delete(watermark);
      if (this.all.size === 0) this.ticker.stop();
    };
  }
}

/** A function of its own: its closure must not hold the watermarks, whose listeners may hold the heap. */
function start(ticker: Ticker, watermarks: WeakRef<Watermarks>): void {
  ticker.start(LOOK, false, () => look(ticker, watermarks.deref()));
}

function look(ticker: Ticker, watermarks: Watermarks | undefined): void {
  for (const watermark of watermarks ? [...watermarks.all] : []) {
    // The listener of an earlier watermark may have stopped this one.
    if (!watermarks!.all.has(watermark)) continue;
    const left = watermark.read();
    if (left === undefined) watermarks!.all.delete(watermark);
    else {
      const wasLow = watermark.isLow;
      watermark.isLow = left < watermark.below;
      try {
        if (watermark.isLow && !wasLow) watermark.listener(left);
      } catch (error) {
        report(error);
      }
    }
  }
  if (!watermarks || watermarks.all.size === 0) ticker.stop();
}
