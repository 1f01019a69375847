/**
 * Small programs with known faults, and the same without: they show that the search finds what it should, and no more.
 * Each has its words where `base` says.
 */
import {
  atomicAdd,
  atomicLoad,
  atomicNotify,
  atomicOr,
  atomicStore,
  compareExchange,
  atomicWait,
  guess,
} from "../../../assembly/base/atomics";

/* A stack of nodes 1..n. The head is at 0: node number in the low 16 bits, in the tagged version a count of changes above. */

@inline
function next(node: u32): usize {
  return (<usize>node) << 4;
}

export function stack_init(n: u32): void {
  store<u32>(0, n ? 1 : 0);
  for (let i: u32 = 1; i <= n; i++) store<u32>(next(i), i == n ? 0 : i + 1);
}

/** Wrong: between the load and the exchange the head may have left and come back with another next (ABA). */
export function stack_pop(): u32 {
  while (true) {
    const head = atomicLoad<u32>(0);
    if (head == 0) return 0;
    const after = guess<u32>(next(head));
    if (compareExchange<u32>(0, head, after)) return head;
  }
}

export function stack_push(node: u32): void {
  while (true) {
    const head = atomicLoad<u32>(0);
    store<u32>(next(node), head);
    if (compareExchange<u32>(0, head, node)) return;
  }
}

export function tagged_pop(): u32 {
  while (true) {
    const head = atomicLoad<u32>(0);
    const node = head & 0xffff;
    if (node == 0) return 0;
    const after = guess<u32>(next(node)) & 0xffff;
    if (compareExchange<u32>(0, head, ((head & 0xffff0000) + 0x10000) | after)) return node;
  }
}

export function tagged_push(node: u32): void {
  while (true) {
    const head = atomicLoad<u32>(0);
    store<u32>(next(node), head & 0xffff);
    if (compareExchange<u32>(0, head, ((head & 0xffff0000) + 0x10000) | node)) return;
  }
}

/* Wake-ups: the count of things at 1024, how many wait at 1028. */

/** Wrong: looks for a thing, then says that it waits, then sleeps until somebody says that there is one. */
export function sleepy_take(): u32 {
  while (true) {
    const count = atomicLoad<u32>(1024);
    if (count && compareExchange<u32>(1024, count, count - 1)) return count;
    atomicAdd<u32>(1028, 1);
    atomicWait(1032, 0, Infinity);
    atomicAdd<u32>(1028, -1);
  }
}

export function sleepy_give(): void {
  atomicAdd<u32>(1024, 1);
  if (atomicLoad<u32>(1028)) atomicNotify(1032);
}

/** Says that it waits, then looks; sleeps on the word it looked at. */
export function wakeful_take(milliseconds: f64): u32 {
  while (true) {
    const count = atomicLoad<u32>(1024);
    if (count && compareExchange<u32>(1024, count, count - 1)) return count;
    atomicAdd<u32>(1028, 1);
    const how = atomicWait(1024, 0, milliseconds);
    atomicAdd<u32>(1028, -1);
    if (how == 2) return 0;
  }
}

export function wakeful_give(): void {
  atomicAdd<u32>(1024, 1);
  if (atomicLoad<u32>(1028)) atomicNotify(1024);
}

/* Counters, at 2048. */

/** Wrong: a data race. */
export function plain_add(): void {
  store<u32>(2048, load<u32>(2048) + 1);
}

/** Wrong, though without a data race: the sum may be of an old value. */
export function torn_add(): void {
  atomicStore<u32>(2048, atomicLoad<u32>(2048) + 1);
}

export function whole_add(): void {
  atomicAdd<u32>(2048, 1);
}

export function locked_add(): bool {
  if (!compareExchange<u32>(2052, 0, 1)) return false;
  store<u32>(2048, load<u32>(2048) + 1);
  atomicStore<u32>(2052, 0);
  return true;
}


@external("env", "sched")
declare function sched(kind: u32, address: usize, bytes: u32): void;
const UNTIL_ZERO: u32 = 12;

export function spin_add(told: bool): void {
  while (!compareExchange<u32>(2052, 0, 1)) {
    if (told) sched(UNTIL_ZERO, 2052, 4);
    else while (atomicLoad<u32>(2052)) {}
  }
  store<u32>(2048, load<u32>(2048) + 1);
  atomicStore<u32>(2052, 0);
}

/* Publishing: eight bytes at 3072, the flag for them at 3080. */

export function fill(value: u8): void {
  memory.fill(3072, value, 8);
  atomicOr<u32>(3080, 1);
}

/** Wrong: the flag is looked at by a plain load. */
export function read_early(): u64 {
  return load<u32>(3080) ? load<u64>(3072) : 0;
}

export function read(): u64 {
  return atomicLoad<u32>(3080) ? load<u64>(3072) : 0;
}

/* Store, then look (Dekker): two words at 4096 and 4100. Never both 0. */
export function see(mine: u32): u32 {
  atomicStore<u32>(4096 + mine * 4, 1);
  return atomicLoad<u32>(4096 + (1 - mine) * 4);
}

/* A move of one thing from the word at 5120 to that at 5124. Who takes it up after a death must find it in one of them. */

/** Wrong: in between it is in neither. */
export function carry(): void {
  const thing = atomicLoad<u32>(5120);
  atomicStore<u32>(5120, 0);
  atomicStore<u32>(5124, thing);
}

export function carry_safely(): void {
  const thing = atomicLoad<u32>(5120);
  atomicStore<u32>(5124, thing);
  atomicStore<u32>(5120, 0);
}

/** As wrong, but not an atomic operation is in between. */
export function carry_plainly(): void {
  const thing = atomicLoad<u32>(5120);
  store<u32>(5120, 0);
  store<u32>(5124, thing);
}

export function things(): u32 {
  return atomicLoad<u32>(5120) | atomicLoad<u32>(5124);
}

/** Independent work: `times` additions at 6144 + `at`. */
export function busy(at: u32, times: u32): void {
  for (let i: u32 = 0; i < times; i++) atomicAdd<u32>(6144 + at, 1);
}

/* Single operations, on the words from 8192. */

@inline
function word(i: u32): usize {
  return 8192 + ((<usize>i) << 2);
}

export function get(i: u32): u32 {
  return atomicLoad<u32>(word(i));
}

export function put(i: u32, value: u32): void {
  atomicStore<u32>(word(i), value);
}

export function add(i: u32, value: u32): u32 {
  return atomicAdd<u32>(word(i), value);
}

export function swap(i: u32, expected: u32, value: u32): bool {
  return compareExchange<u32>(word(i), expected, value);
}

export function sleep(i: u32, expected: u32, milliseconds: f64): u32 {
  return atomicWait(word(i), expected, milliseconds);
}

export function wake(i: u32): void {
  atomicNotify(word(i));
}
