/** Shows a heap to a picture of it in another tab, window or thread. */
import { now, startInterval } from "../core/timers.ts";
import { checkOptions, invalid, milliseconds, nameOf, show } from "../core/validate.ts";
import type { Heap } from "../heap/heap.ts";
import { MapReader, sourceOf } from "../inspect/heap-map.ts";
import { recorder } from "../inspect/subject.ts";
import { messageIn, Sender, TAG, type Ask, type Look } from "./protocol.ts";

/** The parts of a MessagePort or BroadcastChannel, also of another realm, that are used. */
export interface Channel {
  postMessage(message: unknown): void;
  addEventListener(type: "message", listener: (event: any) => void): void;
  removeEventListener(type: "message", listener: (event: any) => void): void;
  start?(): void;
  close?(): void;
}

/** What {@link expose} takes. */
export interface ExposeOptions {
  /**
   * A MessagePort or BroadcastChannel, or the name of the latter. A page by the same name, of the same origin, finds it.
   * @default "wasm-mempool"
   */
  readonly channel?: string | Channel;
  /**
   * Milliseconds between two maps.
   * @default 33
   */
  readonly interval?: number;
  /** What the page calls the heap. */
  readonly name?: string;
}

/** Milliseconds after which a picture that says nothing counts as gone; it looks every second. */
const SILENCE = 3000;

let exposed = 0;

/**
 * Shows a heap to each picture of it that listens on a channel: the page `inspector/index.html` of this package. While none
 * listens, nothing runs; while one does, this thread reads the heap at the interval, some milliseconds for 10,000 slabs. It may
 * be any thread of a shared heap; the others go on. Alloc and free know nothing of it. Keeps no process alive. Returns a
 * function that ends it; the heap's end does, too.
 *
 * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`, `ERR_NO_WASM`.
 * @example
 * import { expose } from "wasm-mempool/inspector";
 * const stop = expose(heap, { name: "particles" });
 */
export function expose(heap: Heap, options?: ExposeOptions): () => void {
  const apiName = "expose";
  const { channel = TAG, interval = 33, name } = checkOptions(apiName, options, ["channel", "interval", "name"]);
  milliseconds(apiName, "interval", interval);
  const reader = new MapReader(sourceOf(apiName, heap));
  const port = channelOf(apiName, channel);
  const number = ++exposed;
  const shown = nameOf(apiName, name, `heap ${number}`);
  const program = `${number}-${Math.random().toString(36).slice(2)}`;
  const sender = new Sender(program, shown);
  let lookedAt = 0;
  let wantsAll = false;
  let stopTimer: (() => void) | undefined;

  const stop = (): void => {
    stopTimer?.();
    stopTimer = undefined;
    port.removeEventListener("message", listen);
    post({ tag: TAG, type: "gone", program });
    if (typeof channel === "string") port.close?.();
  };
  const post = (message: object): void => {
    try {
      port.postMessage(message);
    } catch {
      // The channel is closed.
    }
  };
  const send = (): void => {
    if (now() - lookedAt > SILENCE) {
      stopTimer?.();
      stopTimer = undefined;
      return;
    }
    let map;
    try {
      map = reader.read();
    } catch {
      // The heap has ended.
      return stop();
    }
    const all = wantsAll;
    wantsAll = false;
    post(sender.message(map, all));
  };
  const looked = ({ since }: Look): void => {
    lookedAt = now();
    if (since === 0) wantsAll = true;
    if (stopTimer) return;
    stopTimer = startInterval(Math.max(1, interval), false, send);
    send();
  };
  const asked = ({ program: whose, address }: Ask): void => {
    if (whose !== program) return;
    const { site, heldMs } = heap.context.hasEnded ? {} : (recorder(heap.context)?.(address) ?? {});
    post({ tag: TAG, type: "element", program, address, site, heldMs });
  };
  const listen = ({ data }: { readonly data: unknown }): void => {
    const message = messageIn(data);
    if (message?.type === "look") looked(message);
    else if (message?.type === "ask") asked(message);
  };
  port.addEventListener("message", listen);
  port.start?.();
  return stop;
}

function channelOf(apiName: string, channel: string | Channel): Channel {
  if (typeof channel !== "string") {
    const { postMessage, addEventListener } = (channel ?? {}) as Partial<Channel>;
    if (typeof postMessage === "function" && typeof addEventListener === "function") return channel;
    return invalid(`${apiName}: channel must be a MessagePort, a BroadcastChannel or a name, got ${show(channel)}`);
  }
  const { BroadcastChannel: Broadcast } = globalThis as { BroadcastChannel?: new (name: string) => Channel };
  if (!Broadcast) invalid(`${apiName}: this host has no BroadcastChannel "${channel}"; give a MessagePort as channel`);
  const port = new Broadcast(channel);
  (port as { unref?(): void }).unref?.();
  return port;
}
