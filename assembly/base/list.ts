/**
 * Doubly linked lists of structs that begin with a Link, pools and arenas; and the heap's lock, under which alone they
 * change. The word at `head` is the address of the first node, 0 if there is none.
 *
 * Creating and attaching to a pool, detaching, joining a heap under a used number, creating and ending an arena, and
 * reap may wait for the lock, for a bounded time. Alloc and free never do: they only try, and leave what they wanted to
 * do under the lock to another thread. A reaper takes over the lock of a dead thread.
 *
 * Invariant: the chain of `next` is whole at any instant, so relink can put right a list that a dead thread left
 * half-changed. While the lock is free it has as many nodes as the heap counts (heap_check in inspect/check.ts).
 */
import { atomicLoad, atomicStore, compareExchange, THREADS } from "./atomics";
import { heapBase, selfNumber } from "./instance";
import { Heap, Link } from "./layout";

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

/** Sets every prev by the chain of next; returns the number of nodes. */
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

/** Takes the lock if it is free. */
export function tryLock(): bool {
  if (!THREADS) return true;
  return !atomicLoad<u32>(lockAt()) && compareExchange<u32>(lockAt(), 0, selfNumber() + 1);
}

/** Looks at the lock, some tens of milliseconds: a thread that has it longer has stopped or died. */
const TRIES: u32 = 1 << 22;

/** Waits for the lock, without sleeping, which a window may not. False if its holder keeps it. */
export function lock(): bool {
  for (let tries = TRIES; tries; tries--) {
    if (tryLock()) return true;
  }
  return false;
}

export function unlock(): void {
  if (THREADS) atomicStore<u32>(lockAt(), 0);
}
