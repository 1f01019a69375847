/**
 * Doubly linked lists through structs that begin with a Link, of pools and of arenas; and the lock of the heap under
 * which alone they change. The word at `head` is the address of the first, 0 if there is none; the first one's prev is 0.
 *
 * Who may wait for the lock, for a bounded time: create, attach, detach, reap, and making and ending arenas. Nobody in
 * alloc or free does: they only try, and leave what they wanted to do under it to somebody else. A dead thread's lock is
 * taken over by who reaps it. The chain of
 * `next` is whole at any instant, so that a list left half-way is put right by relink.
 */
import { atomicLoad, atomicStore, atomicSwap, THREADS } from "./atomics";
import { Heap, heapBase, Link, selfNumber } from "./layout";

export function listPush(head: usize, node: Link): void {
  const next = load<u32>(head);
  node.next = next;
  node.prev = 0;
  store<u32>(head, changetype<u32>(node));
  if (next) changetype<Link>(next).prev = changetype<usize>(node);
}

export function listRemove(head: usize, node: Link): void {
  const next = node.next;
  const prev = node.prev;
  store<u32>(prev ? prev + offsetof<Link>("next") : head, next);
  if (next) changetype<Link>(next).prev = prev;
}

/** Makes every prev say what next does; returns how many there are. */
export function relink(head: usize): u32 {
  let prev: usize = 0;
  let n: u32 = 0;
  for (let at: usize = load<u32>(head); at; at = changetype<Link>(at).next) {
    changetype<Link>(at).prev = prev;
    prev = at;
    n++;
  }
  return n;
}


@inline
export function lockAt(): usize {
  return heapBase() + offsetof<Heap>("lock");
}

/** Takes the lock if nobody has it. */
export function tryLock(): bool {
  if (!THREADS) return true;
  return !atomicLoad<u32>(lockAt()) && atomicSwap<u32>(lockAt(), 0, selfNumber() + 1);
}

/** How often who may wait looks at the lock: some tens of milliseconds. Whoever has it longer has stopped or died. */
const TRIES: u32 = 1 << 22;

/** Waits for it, without sleeping: a window may not. False: whoever has it does not give it back. */
export function lock(): bool {
  for (let tries = TRIES; tries; tries--) {
    if (tryLock()) return true;
  }
  return false;
}

export function unlock(): void {
  if (THREADS) atomicStore<u32>(lockAt(), 0);
}
