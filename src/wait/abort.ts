/** One abort listener for each signal, however many waiters share the signal. */
import type { Signal } from "../core/types.ts";

const groups = new Map<Signal, { readonly listeners: Set<() => void>; readonly stop: () => void }>();

/** Calls `listener` when the signal aborts; returns a function that stops this. */
export function onAbort(signal: Signal, listener: () => void): () => void {
  let group = groups.get(signal);
  if (!group) {
    const listeners = new Set<() => void>();
    const abort = () => {
      for (const each of listeners) each();
    };
    signal.addEventListener("abort", abort);
    group = { listeners, stop: () => signal.removeEventListener("abort", abort) };
    groups.set(signal, group);
  }
  const { listeners, stop } = group;
  listeners.add(listener);
  return () => {
    if (!listeners.delete(listener) || listeners.size > 0) return;
    groups.delete(signal);
    stop();
  };
}
