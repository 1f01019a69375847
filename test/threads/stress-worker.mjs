/**
 * A worker of stress.test.ts: does at random all that a thread may do with a heap, and checks that no other thread
 * holds an element that it allocates, and that the bytes of an element that it frees are unchanged.
 */
import { workerData } from "node:worker_threads";

const { module, memory, heap, board, lane, seed, pools, turnstile, BOARD, ROW, DOINGS, OPEN, VISITING, mostHeld } =
  workerData;
const core = new WebAssembly.Instance(module, { env: { memory } }).exports;
const row = BOARD.rows + lane * BOARD.rowWords;
const me = lane + 1;
/** The results of resize and reshape: see include/wasm_mempool.h. */
const NOT_NOW = -7;
const NO_MEMORY = -8;
/** The holder of an element of a pool that lives briefly. */
const meVisiting = me | VISITING;

let state = seed >>> 0 || 1;
const random = (n) => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  state >>>= 0;
  return state % n;
};

let i32 = new Int32Array(memory.buffer);
/** Words of the heap's memory, also where that has grown. */
function words(end) {
  if (end > i32.byteLength) i32 = new Int32Array(memory.buffer);
  return i32;
}

function fail(what, ...values) {
  throw new Error(`worker ${lane}: ${what} ${values.join(" ")}`);
}

function doing(what, pool = -1) {
  Atomics.store(board, row + ROW.doing, DOINGS.indexOf(what));
  Atomics.store(board, row + ROW.pool, pool);
}
const count = (word) => Atomics.add(board, row + word, 1);

/* ---- elements: at both ends the address, in between the holder ---- */

const CANARY_EVERY = 256;

/** An element just allocated: no thread may hold it. */
function take(size, element, holder = me) {
  if (element & 7) fail("misaligned", element);
  const was = Atomics.compareExchange(board, BOARD.holders + (element >>> 3), 0, holder);
  if (was) fail("handed out twice", element, "holder", was);
  count(ROW.allocs);
  write(size, element, holder);
}

function write(size, element, holder) {
  const u = words(element + size);
  const first = element >> 2;
  const last = (element + size - 4) >> 2;
  for (let at = first + 2; at < last; at += CANARY_EVERY) u[at] = ~at;
  u[first] = element;
  u[first + 1] = holder;
  u[last] = ~element;
}

function check(size, element, holder) {
  const u = words(element + size);
  const first = element >> 2;
  const last = (element + size - 4) >> 2;
  if (u[first] !== (element | 0) || u[last] !== ~element || u[first + 1] !== holder) {
    fail("overwritten", element, "of", size, "bytes:", u[first], u[first + 1], "not", holder, ~u[last]);
  }
  for (let at = first + 2; at < last; at += CANARY_EVERY) if (u[at] !== ~at) fail("overwritten inside", element);
}

/** Frees an element. Returns the result of free, which must not be an error. */
function give(handle, size, element, holder = me) {
  check(size, element, holder);
  words(element + size)[element >> 2] = 0;
  const was = Atomics.compareExchange(board, BOARD.holders + (element >>> 3), holder, 0);
  if (was !== holder) fail("lost to another", element, "holder", was);
  const result = core.mempool_free(handle, element);
  if (result !== 0 && result !== 1) fail("free returned", result, "for", element);
  count(ROW.frees);
  return result;
}

/* ---- joining ---- */

let handles = [];
let gate;
/** Waiters: the pool, the waiter's slot, its sequence number. */
let line = [];

const idleWord = new Int32Array(new SharedArrayBuffer(4));

/**
 * Repeats until true: another thread may have the lock of the lists, or all memory for a while, and a thread with a number
 * that is new to the heap needs a page.
 */
function insist(what, call) {
  for (let i = 0, end = performance.now() + 60_000; performance.now() < end; i++) {
    const value = call();
    if (value) return value;
    if (i >= 1000) Atomics.wait(idleWord, 0, 0, 1);
  }
  return fail("refused:", what, core.heap_error());
}

function join() {
  insist("heap_attach", () => core.heap_attach(heap, me));
  handles = pools.map(({ address }) => insist("mempool_attach", () => core.mempool_attach(address) >>> 0));
  gate = insist("mempool_attach", () => core.mempool_attach(turnstile.address) >>> 0);
}

function leaveLine(k) {
  for (const place of line.filter((each) => k === undefined || each.k === k)) endWait(place);
}

/* ---- steps ---- */

/** The size when the element was allocated: another thread may have reshaped the pool since. */
const sizeOf = (k, element) => core.mempool_size(handles[k], element);
const giveBack = (k, element) => give(handles[k], sizeOf(k, element), element);

const mine = pools.map(() => []);
let greed = 50;

function keep(k, element) {
  if (!element) return;
  take(sizeOf(k, element), element);
  mine[k].push(element);
  // A worker's elements of one pool are limited, so that the others get some; with a high limit, memory runs short.
  while (mine[k].length > mostHeld) giveBack(k, mine[k].shift());
}

function some(k) {
  const list = mine[k];
  if (!list.length) return 0;
  const i = random(list.length);
  const element = list[i];
  list[i] = list.at(-1);
  list.pop();
  return element;
}

function alloc(k) {
  doing("allocating", k);
  const how = random(40);
  if (how === 0) return keep(k, core.mempool_alloc_preallocated(handles[k]) >>> 0);
  if (how === 1) {
    const n = 1 + random(40);
    const at = core.heap_scratch() >>> 0;
    if (core.mempool_alloc_bulk(handles[k], at, n)) {
      for (const element of new Uint32Array(memory.buffer, at, n).slice()) keep(k, element);
    }
    return undefined;
  }
  if (how === 2) {
    const element = core.mempool_zalloc(handles[k]) >>> 0;
    if (!element) return undefined;
    const end = element + sizeOf(k, element);
    const zeroed = words(end).subarray(element >> 2, end >> 2);
    if (zeroed.some((word) => word !== 0)) fail("not zeroed", element);
    return keep(k, element);
  }
  return keep(k, core.mempool_alloc(handles[k]) >>> 0);
}

function free(k) {
  const element = some(k);
  if (!element) return;
  doing("freeing", k);
  giveBack(k, element);
  // A free address must be refused, or another thread has allocated it meanwhile: so only check it.
  if (random(64) === 0) core.mempool_free_check(handles[k], element + 4);
}

/** Puts an element into the exchange, and takes the one that was there: so each thread frees elements of all. */
function exchange(k) {
  doing("exchanging", k);
  const mineNow = some(k);
  if (mineNow) {
    const size = sizeOf(k, mineNow);
    check(size, mineNow, me);
    words(mineNow + size)[(mineNow >> 2) + 1] = OPEN;
    Atomics.store(board, BOARD.holders + (mineNow >>> 3), OPEN);
  }
  const slot = BOARD.exchange + k * BOARD.slots + random(BOARD.slots);
  const theirs = Atomics.exchange(board, slot, mineNow) >>> 0;
  if (!theirs) return;
  const was = Atomics.compareExchange(board, BOARD.holders + (theirs >>> 3), OPEN, me);
  if (was !== OPEN) fail("in the exchange, but not open", theirs, "holder", was);
  const size = sizeOf(k, theirs);
  check(size, theirs, OPEN);
  words(theirs + size)[(theirs >> 2) + 1] = me;
  if (random(2)) giveBack(k, theirs);
  else mine[k].push(theirs);
}

const valueOf = (place) => Atomics.load(words(place + 16), place >> 2) >>> 0;

/** Leaves the wait queue, with the element if one was handed over. */
function endWait(entry) {
  line = line.filter((each) => each !== entry);
  const { k, place } = entry;
  const value = valueOf(place);
  if (!value || value === 2) fail("in line, but not there: value", value, "pool", k);
  const element = core.mempool_wait_end(handles[k], place) >>> 0;
  if (value > 2) {
    if (element !== value) fail("handed over", value, "but got", element);
    count(ROW.served);
  }
  keep(k, element);
}

function wait(k) {
  doing("in line", k);
  const here = line.filter((entry) => entry.k === k);
  const what = random(4);
  if (what === 0 || !here.length) {
    const place = core.mempool_wait_begin(handles[k], 0) >>> 0;
    if (!place && here.length < 16) fail("no place in line, with", here.length, "in use");
    if (!place) return;
    line.push({ k, place, ticket: words(place + 16)[(place >> 2) + 1] });
  } else if (what === 1) {
    Atomics.wait(words(here[0].place + 16), here[0].place >> 2, 1, random(3));
    endWait(here[0]);
  } else if (what === 2) {
    for (const entry of here) if (valueOf(entry.place) > 2) endWait(entry);
  } else {
    // Leaves the wait queue, and enters it again with the same sequence number.
    const { ticket } = here[0];
    endWait(here[0]);
    const place = core.mempool_wait_begin(handles[k], ticket) >>> 0;
    if (!place) fail("no place in line after one was left");
    line.push({ k, place, ticket });
  }
}

/** Through the turnstile, a pool of one element that every thread frees soon: so every wait for it ends. */
function pass() {
  doing("at the turnstile");
  let element;
  if (random(2)) element = core.mempool_alloc_wait(gate, Infinity) >>> 0;
  else {
    const place = core.mempool_wait_begin(gate, 0) >>> 0;
    while (valueOf(place) === 1) {
      if (Atomics.wait(words(place + 16), place >> 2, 1, 30_000) === "timed-out") fail("never woken at the turnstile");
    }
    element = core.mempool_wait_end(gate, place) >>> 0;
  }
  if (!element) fail("nothing at the turnstile");
  take(turnstile.size, element);
  // Not atomic: the element is a lock.
  board[BOARD.guarded]++;
  Atomics.add(board, BOARD.passes, 1);
  give(gate, turnstile.size, element);
}

const refused = (result) => result === NOT_NOW || result === NO_MEMORY;

/** Another size for new elements, or another reserve, never smaller than at first. */
function change(k) {
  const { size, minNr, maxNr } = pools[k];
  if (random(2)) {
    doing("reshaping", k);
    const result = core.mempool_reshape(handles[k], size + 8 * random(10), 8);
    if (result !== 1 && !refused(result)) fail("reshape returned", result);
  } else {
    doing("resizing", k);
    const most = maxNr === -1 ? minNr + 20 : maxNr;
    const result = core.mempool_resize(handles[k], minNr + random(most - minNr + 1));
    if (result !== 1 && result !== 0 && !refused(result)) fail("resize returned", result);
  }
}

function rejoin(k) {
  doing("leaving and joining", k);
  if (random(2)) {
    leaveLine(k);
    insist("mempool_detach", () => core.mempool_detach(handles[k]));
    handles[k] = insist("mempool_attach", () => core.mempool_attach(pools[k].address) >>> 0);
    return;
  }
  endOwn();
  // Cancels the waiters, and frees the elements that were handed over to them.
  if (random(2)) leaveLine();
  line = [];
  insist("heap_detach", () => core.heap_detach());
  join();
}

/* ---- pools that live briefly ---- */

let own;

function makeOwn() {
  doing("making a pool");
  const size = 24 + 8 * random(random(4) ? 30 : 800);
  const minNr = random(6);
  const handle = core.mempool_create(size, 8, minNr, random(2) ? -1 : minNr + 1 + random(40)) >>> 0;
  if (!handle) return;
  own = { handle, size, list: [] };
  Atomics.store(board, row + ROW.own, core.mempool_share(handle));
  Atomics.store(board, row + ROW.ownSize, size);
  Atomics.add(board, row + ROW.generation, 1);
}

function useOwn() {
  doing("allocating");
  for (let n = random(20); n; n--) {
    const element = core.mempool_alloc(own.handle) >>> 0;
    if (!element) break;
    take(own.size, element, meVisiting);
    own.list.push(element);
  }
  while (own.list.length > 10) give(own.handle, own.size, own.list.shift(), meVisiting);
}

/** Exits the pool with outstanding elements, of this thread and of visitors. */
function endOwn() {
  if (!own) return;
  doing("ending a pool");
  const { handle, size, list } = own;
  own = undefined;
  Atomics.add(board, row + ROW.generation, 1);
  const out = core.mempool_exit(handle);
  if (out === 0 && list.length) fail("exit returned 0 with", list.length, "out");
  if (out === 0) return;
  if (core.mempool_alloc(handle)) fail("a closed pool hands out");
  for (const element of list) if (give(handle, size, element, meVisiting) === 1) return;
  insist("mempool_detach", () => core.mempool_detach(handle));
}

/** Attaches to another thread's pool, which may end meanwhile. */
function visit() {
  const other = BOARD.rows + random(workerData.lanes) * BOARD.rowWords;
  const generation = Atomics.load(board, other + ROW.generation);
  if (other === row || !(generation & 1)) return;
  doing("visiting a pool");
  const size = Atomics.load(board, other + ROW.ownSize);
  const handle = core.mempool_attach(Atomics.load(board, other + ROW.own)) >>> 0;
  if (!handle) return;
  const list = [];
  // If that pool has ended, this is another pool at the same address.
  if (Atomics.load(board, other + ROW.generation) === generation) {
    for (let n = random(20); n; n--) {
      const element = (random(8) ? core.mempool_alloc(handle) : core.mempool_alloc_wait(handle, random(2))) >>> 0;
      if (!element) break;
      take(size, element, meVisiting);
      list.push(element);
    }
  }
  for (const [i, element] of list.entries()) {
    if (give(handle, size, element, meVisiting) !== 1) continue;
    if (i < list.length - 1) fail("the last one home, with more out");
    return;
  }
  insist("mempool_detach", () => core.mempool_detach(handle));
}

function bump() {
  doing("at an arena");
  const arena = core.arena_create(1 + random(20_000)) >>> 0;
  if (!arena) return;
  const at = core.arena_alloc(arena, 64, 8) >>> 0;
  if (at) {
    words(at + 64).fill(me, at >> 2, (at >> 2) + 16);
    for (let n = random(5); n; n--) core.arena_alloc(arena, 1 + random(9000), 8);
    if (words(at + 64)[at >> 2] !== me) fail("overwritten in an arena", at);
  }
  core.arena_exit(arena);
}

function step() {
  const k = random(pools.length);
  const what = random(1000);
  if (what < 3) return rejoin(k);
  if (what < 6) {
    doing("trimming");
    return core.heap_trim();
  }
  if (what < 9) {
    doing("settling");
    return core.heap_idle();
  }
  if (what < 12) return bump();
  if (what < 14) return change(k);
  if (what < 20) return pass();
  if (what < 26) return visit();
  if (what < 36) {
    if (!own) return makeOwn();
    return random(3) ? useOwn() : endOwn();
  }
  if (what < 70) return wait(k);
  if (what < 76) {
    doing("blocked", k);
    return keep(k, core.mempool_alloc_wait(handles[k], random(4) / 2) >>> 0);
  }
  if (what < 250) return exchange(k);
  // The worker allocates more than it frees at times, and less at others.
  if (what < 255) greed = 30 + random(40);
  return random(100) < greed ? alloc(k) : free(k);
}

/** Between two phases, all are parked. */
function park(phase) {
  doing("settling");
  core.heap_idle();
  doing("parked");
  Atomics.add(board, BOARD.parked, 1);
  Atomics.wait(board, BOARD.phase, phase);
}

doing("attaching");
join();
for (;;) {
  const phase = Atomics.load(board, BOARD.phase);
  if (!(phase & 1)) park(phase);
  else if (Atomics.load(board, BOARD.last)) break;
  else {
    for (let i = 0; i < 20; i++) step();
    Atomics.add(board, row + ROW.steps, 20);
  }
}
doing("finishing");
endOwn();
leaveLine();
for (const [k, list] of mine.entries()) for (const element of list.splice(0)) giveBack(k, element);
insist("heap_detach", () => core.heap_detach());
