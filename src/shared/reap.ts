/** How a thread takes back what another thread held that has ended: on request, or as the end of a watched worker comes. */
import { BUSY, MAX_THREADS } from "../core/abi.ts";
import { MempoolError } from "../core/errors.ts";
import { delay, report, startInterval } from "../core/timers.ts";
import { boolean, callback, checkOptions, integer, invalid, show } from "../core/validate.ts";
import { labelOf, type Lives, type WatchedWorker } from "./lives.ts";
import type { Threads } from "./threads.ts";

/** An element that a dead thread had: see {@link SharedHeap.reap}. */
export interface Reaped {
  /** The pool's name. */
  readonly pool: string;
  readonly address: number;
}

export interface ReapOptions {
  /** The caller knows that the thread has ended. */
  readonly isGone?: boolean;
}

export interface WatchOptions {
  /** Gets what the worker had allocated or adopted, and not freed, of the pools that this thread knows: once, at its end. */
  readonly onReap?: (elements: Reaped[]) => void;
}

/** Milliseconds after which a reap is tried again, while another dead thread is in the way. */
const RETRY_MS = 10;
/** Milliseconds between two looks of a browser's watcher whether its worker has attached. */
const LOOK_MS = 50;

/** Takes back what a thread held. Its elements; BUSY while another thread is in the way; undefined without such a thread. */
function tryReap({ context, lives }: Threads, thread: number, label = 0): Reaped[] | typeof BUSY | undefined {
  const { core } = context;
  if (thread < 0) return undefined;
  const list: Reaped[] = [];
  // The core's reap frees the thread's number, so the list comes first.
  for (const pool of context.pools) {
    for (let address = 0; ;) {
      address = core.mempool_next_live(pool.handle, address, thread) >>> 0;
      if (address === 0) break;
      const element = pool.elementIn(address);
      if (element === 0) pool.releaseEmptyBox(address);
      else list.push({ pool: pool.name, address: element });
    }
  }
  const word = lives?.forget(thread) ?? 0;
  const done = core.heap_reap(thread, label);
  if (done < 0) lives?.remember(thread, word);
  if (done === 1) for (const observer of context.observers ?? []) observer.reaped?.(thread, list);
  return done === 1 ? list : done === 0 ? undefined : BUSY;
}

export function reap(threads: Threads, threadId: number, options: ReapOptions | undefined): Reaped[] {
  const apiName = "reap";
  const { lives } = threads;
  checkThread(threads, apiName, threadId);
  const { isGone = false } = checkOptions(apiName, options, ["isGone"]);
  if (!boolean(apiName, "isGone", isGone) && lives?.mayRun(threadId)) {
    // This thread learns of the end from now on.
    void lives.ended(threadId);
    const what = `thread ${threadId} may still run: its Web Lock was not free so far; await heap.reapAsync(${threadId})`;
    throw new MempoolError("ERR_WOULD_BLOCK", `${apiName}: ${what}`);
  }
  const list = tryReap(threads, threadId);
  if (list === BUSY) {
    const what = "another thread that has stopped or died is in the way";
    throw new MempoolError("ERR_WOULD_BLOCK", `${apiName}: ${what}: reap that one first, or ${threadId} again later`);
  }
  return list ?? noThread(apiName, threadId);
}

export async function reapAsync(threads: Threads, threadId: number): Promise<Reaped[]> {
  const apiName = "reapAsync";
  for (;;) {
    checkThread(threads, apiName, threadId);
    if (threads.lives?.mayRun(threadId)) await threads.lives.ended(threadId);
    else {
      const list = tryReap(threads, threadId);
      if (list !== BUSY) return list ?? noThread(apiName, threadId);
      await delay(RETRY_MS);
    }
  }
}

function checkThread(threads: Threads, apiName: string, threadId: number): void {
  threads.context.refuseEnded();
  const { core } = threads.context;
  integer(apiName, "threadId", threadId, 0, MAX_THREADS - 1);
  if (threadId === core.heap_thread()) invalid(`${apiName}: threadId (${threadId}) is this thread`);
  for (const label of threads.watched.keys()) {
    if (core.heap_find_thread(label) === threadId) {
      invalid(`${apiName}: threadId (${threadId}) is a worker that is watched and still runs`);
    }
  }
}

function noThread(apiName: string, threadId: number): never {
  return invalid(`${apiName}: threadId (${threadId}) is no thread of this heap`);
}

export function watch(threads: Threads, worker: WatchedWorker, options: WatchOptions | undefined): () => void {
  const apiName = "watch";
  threads.context.refuseEnded();
  const { onReap } = checkOptions(apiName, options, ["onReap"]);
  if (onReap !== undefined) callback(apiName, "onReap", onReap);
  const isObject = typeof worker === "object" && worker !== null;
  const label = isObject ? labelOf(worker) : 0;
  if (label === 0) {
    const what = "a Worker of node:worker_threads that runs, or one that share(worker) was called with";
    invalid(`${apiName}: worker must be ${what}, got ${show(worker)}`);
  }
  threads.share(undefined);
  const lives = threads.lives!;
  const tellsExit = typeof worker.threadId === "number" && typeof worker.once === "function";
  if (!tellsExit && !lives.hasLocks) {
    const why = "does not tell of its end, and there are no Web Locks here: not a secure page, or a worklet";
    invalid(`${apiName}: worker ${why}`);
  }
  threads.watched.get(label)?.();
  const words = lives.watch(label);
  if (!words) throw new MempoolError("ERR_NO_MEMORY", `${apiName}: 256 workers of the heap are watched`);

  let stopListening: (() => void) | undefined;
  const stop = () => {
    if (threads.watched.get(label) !== stop) return;
    threads.watched.delete(label);
    stopListening?.();
    words.stop();
  };
  threads.watched.set(label, stop);
  const end = reaperOf(threads, lives, label, tellsExit, stop, onReap);
  stopListening = tellsExit ? onExit(worker, end) : onEndOfLock(threads, lives, label, words, end);
  return stop;
}

/** A function to call once the worker has ended: it reaps until the worker's thread is gone, then calls `onReap`. */
function reaperOf(
  threads: Threads,
  lives: Lives,
  label: number,
  tellsExit: boolean,
  stop: () => void,
  onReap: WatchOptions["onReap"],
): () => void {
  const list: Reaped[] = [];
  const end = (): void => {
    // The thread may have left the heap and attached again.
    while (threads.watched.get(label) === stop) {
      const thread = threads.context.core.heap_find_thread(label);
      if (thread < 0) {
        stop();
        try {
          onReap?.(list);
        } catch (error) {
          report(error);
        }
        return;
      }
      if (lives.mayRun(thread)) return void lives.ended(thread).then(end);
      // The thread is attaching.
      if (!tellsExit && !lives.isLocked(thread)) return void setTimeout(end, RETRY_MS);
      const some = tryReap(threads, thread, label);
      // Another thread may have died with it, and must be reaped first.
      if (some === BUSY) return void setTimeout(end, RETRY_MS);
      if (some) list.push(...some);
    }
  };
  return end;
}

function onExit(worker: WatchedWorker, listener: () => void): () => void {
  worker.once!("exit", listener);
  return () => worker.off?.("exit", listener);
}

/** Calls `listener` once the worker has attached and has a lock, or has left already: from then on the lock tells. */
function onEndOfLock(
  { context }: Threads,
  lives: Lives,
  label: number,
  words: { readonly hasLeft: boolean },
  listener: () => void,
): () => void {
  const look = () => {
    const thread = context.core.heap_find_thread(label);
    if (thread >= 0 ? !lives.isLocked(thread) : !words.hasLeft) return;
    stop?.();
    listener();
  };
  const stop = startInterval(LOOK_MS, false, look);
  look();
  return () => stop?.();
}
