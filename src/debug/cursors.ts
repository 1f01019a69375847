/**
 * Cursors of a debug heap: each access asks whether the element is still the one that the cursor was moved to.
 *
 * A cursor's place gets accessors where others have fields, so cursors of other heaps cost nothing more. An address has no
 * room for a generation: a cursor that is moved to a freed element's address is refused; one that is moved to it once
 * another alloc has got it is on that new element.
 */
import type { Core } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";
import type { Trace } from "../core/debug-types.ts";
import { MempoolError } from "../core/errors.ts";
import { hex } from "../core/validate.ts";
import type { Views } from "../core/views.ts";

const kinds = ["i8", "u8", "i16", "u16", "i32", "u32", "f32", "f64", "i64", "u64"] as const;

interface Place extends Views {
  address: number;
  last: number;
  readonly size: number;
  look(): number;
}

/** Has a new cursor's place check each access. */
export function guardPlace(heap: HeapContext, traceOf: (address: number) => Trace | undefined, views: Views): void {
  const place = views as Place;
  const fresh = heap.views;
  let address = 0;
  let on: Trace | undefined;
  const refuse = (trace: Trace | undefined, what: string): never => {
    const at = address >>> 0;
    const history = heap.debug?.historyOf(at) ?? "";
    const generation = trace && on && trace.allocSequence !== on.allocSequence ? `, and is another element now` : "";
    const text = `cursor: ${hex(at)} ${what}${generation}${history}`;
    throw new MempoolError("ERR_USE_AFTER_FREE", text, { address: at });
  };
  const check = (): void => {
    // Once the heap has ended, its memory is its owner's.
    if (!on || heap.hasEnded) return;
    const now = traceOf(address >>> 0);
    if (!now?.isLive || now.allocSequence !== on.allocSequence) refuse(now, "was freed");
  };
  Object.defineProperty(place, "address", {
    get: () => address,
    set(value: number) {
      const trace = heap.hasEnded || value === 0 ? undefined : traceOf(value >>> 0);
      address = value;
      on = trace;
      if (trace && !trace.isLive) {
        on = undefined;
        refuse(undefined, "is free");
      }
    },
  });
  for (const kind of kinds) {
    Object.defineProperty(place, kind, {
      get() {
        // A cursor on no struct has a memory that throws.
        void place.memory.buffer;
        check();
        return fresh.refresh()[kind];
      },
      set() {},
    });
  }
  place.look = () => (place.last = fresh.refresh().u8.length - place.size);
}

/** The core's own words about an element. */
export interface DebugCore extends Core {
  debug_site(text: number, bytes: number): number;
  debug_use(site: number): void;
  debug_clock(milliseconds: number): void;
  debug_sample(n: number): number;
  debug_due(pool: number, count: number): number;
  debug_trace(address: number, array: number): number;
  debug_check(): number;
  debug_report(array: number): number;
  debug_pool(pool: number): number;
}
