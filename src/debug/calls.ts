/** The calls of a debug heap that a program makes itself. They do nothing on another heap, so they may stay in it. */
import type { HeapContext } from "../core/context.ts";
import type { Trace } from "../core/debug-types.ts";
import { invalid, isUint32, show } from "../core/validate.ts";

interface HasContext {
  /** @internal */
  readonly context: HeapContext;
}

/**
 * Names this thread's allocs and frees on a debug heap from now on, until another call: "level 3". Costs nothing at each of
 * them; with `stacks: false` it is all that reports say. `undefined` ends it. Has no effect on another heap.
 *
 * @throws `ERR_INVALID_ARGUMENT`.
 */
export function tag(heap: object, text: string | undefined): void {
  if (text !== undefined && typeof text !== "string") invalid(`tag: text must be a string, got ${show(text)}`);
  contextOf("tag", heap).debug?.tag(text);
}

/**
 * Who allocated and who freed the element that an address lies in, or in whose red zones it is; undefined if it is in no
 * pool's memory, or the heap is no debug heap.
 *
 * @throws `ERR_INVALID_ARGUMENT`.
 */
export function traceOf(heap: object, address: number): Trace | undefined {
  if (!isUint32(address)) invalid(`traceOf: address must be an integer from 0 to 2^32 - 1, got ${show(address)}`);
  return contextOf("traceOf", heap).debug?.traceOf(address);
}

function contextOf(apiName: string, heap: object): HeapContext {
  const context = (heap as HasContext | null)?.context;
  if (context?.front !== heap) invalid(`${apiName}: heap must be a Heap, got ${show(heap)}`);
  context.refuseEnded();
  return context;
}
