/**
 * A worker of kill.test.ts, which the test ends anywhere in here. A table that outlives the worker lists its elements,
 * so that none is lost: by address, the worker's label; or OPEN, for the first thread that takes the element.
 */
import { workerData } from "node:worker_threads";

const { module, memory, heap, board, lane, label, seed, role, pools, starved, BOARD, ROW, DOINGS, OPEN, LETTING_GO } =
  workerData;
const core = new WebAssembly.Instance(module, { env: { memory } }).exports;
const row = BOARD.rows + lane * BOARD.rowWords;
const u32 = new Uint32Array(memory.buffer);

let state = seed >>> 0 || 1;
const random = (n) => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  state >>>= 0;
  return state % n;
};

function fail(what, ...values) {
  throw new Error(`worker ${lane}, label ${label}: ${what} ${values.join(" ")}`);
}

function doing(what, pool = -1) {
  Atomics.store(board, row + ROW.doing, DOINGS.indexOf(what));
  Atomics.store(board, row + ROW.pool, pool);
  Atomics.add(board, row + ROW.steps, 1);
}
const holderAt = (element) => BOARD.holders + (element >>> 3);

function insist(what, call) {
  for (const end = performance.now() + 60_000; performance.now() < end;) {
    const value = call();
    if (value) return value;
    // A thread has died with the lock, and must be reaped first.
    Atomics.wait(board, BOARD.rows - 1, 0, 1);
  }
  return fail("refused:", what);
}

doing("attaching");
insist("heap_attach", () => core.heap_attach(heap, label));
Atomics.store(board, row + ROW.attached, 1);
const handles = pools.map(({ address }) => insist("mempool_attach", () => core.mempool_attach(address) >>> 0));
const starvedHandle = insist("mempool_attach", () => core.mempool_attach(starved.address) >>> 0);

const mine = pools.map(() => []);

/** The size when the element was allocated: another thread may have reshaped the pool since. */
const lastWord = (k, element) => (element + core.mempool_size(handles[k], element) - 4) >> 2;

function hold(k, element) {
  if (!element) return;
  const was = Atomics.exchange(board, holderAt(element), label);
  // The thread that freed it may not have updated the table yet, or may have died before that.
  if (was && !(was & LETTING_GO)) fail("handed out twice", element, "holder", was);
  Atomics.add(board, row + ROW.allocs, 1);
  u32[element >> 2] = element;
  u32[lastWord(k, element)] = ~element;
  mine[k].push(element);
  while (mine[k].length > 60) give(k, mine[k].shift());
}

function check(k, element) {
  const last = lastWord(k, element);
  if (u32[element >> 2] !== element || u32[last] !== ~element >>> 0) fail("overwritten", element, "of pool", k);
}

function give(k, element) {
  check(k, element);
  u32[element >> 2] = 0;
  if (Atomics.compareExchange(board, holderAt(element), label, label | LETTING_GO) !== label) fail("not held", element);
  const result = core.mempool_free(handles[k], element);
  if (result) fail("free returned", result, "for", element);
  // Another thread may have it by now.
  Atomics.compareExchange(board, holderAt(element), label | LETTING_GO, 0);
  Atomics.add(board, row + ROW.frees, 1);
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

/** The exchange has only a hint; the thread that changes OPEN to its label gets the element. */
function exchange(k) {
  doing("exchanging", k);
  const ours = some(k);
  if (ours) {
    check(k, ours);
    Atomics.store(board, holderAt(ours), OPEN);
  }
  const theirs = Atomics.exchange(board, BOARD.exchange + k * BOARD.slots + random(BOARD.slots), ours) >>> 0;
  if (!theirs || Atomics.compareExchange(board, holderAt(theirs), OPEN, label) !== OPEN) return;
  check(k, theirs);
  mine[k].push(theirs);
}

/** Several elements at once: all or none. */
function bulk(k) {
  const array = core.heap_scratch();
  const count = 2 + random(8);
  doing("allocating", k);
  if (!core.mempool_alloc_bulk(handles[k], array, count)) return;
  for (const element of u32.slice(array >>> 2, (array >>> 2) + count)) hold(k, element);
}

function freeBulk(k) {
  const list = Array.from({ length: 2 + random(8) }, () => some(k)).filter((element) => element);
  const array = core.heap_scratch();
  doing("freeing", k);
  for (const element of list) {
    check(k, element);
    u32[element >> 2] = 0;
    if (Atomics.compareExchange(board, holderAt(element), label, label | LETTING_GO) !== label)
      fail("not held", element);
  }
  u32.set(list, array >>> 2);
  const marked = core.mempool_mark(handles[k], array, list.length, 1);
  if (marked !== list.length) fail("not to be freed", list[marked], "of", list.length);
  core.mempool_free_bulk(handles[k], array, list.length);
  for (const element of list) {
    Atomics.compareExchange(board, holderAt(element), label | LETTING_GO, 0);
    Atomics.add(board, row + ROW.frees, 1);
  }
}

let line = [];
function wait(k) {
  doing("in line", k);
  const place = core.mempool_wait_begin(handles[k], 0) >>> 0;
  if (place) line.push({ k, place });
  if (random(4) === 0) Atomics.wait(new Int32Array(memory.buffer), place >> 2, 1, 1);
  if (line.length < 4) return;
  for (const each of line.splice(0)) hold(each.k, core.mempool_wait_end(handles[each.k], each.place) >>> 0);
}

function blocked(k) {
  doing("blocked", k);
  hold(k, core.mempool_alloc_wait(handles[k], random(3)) >>> 0);
}

/** A pool that lives briefly: the thread that finds it ends it. */
function comeAndGo() {
  doing("making a pool");
  const size = 24 + 8 * random(100);
  const pool = core.mempool_create(size, 8, random(5), -1) >>> 0;
  if (!pool) return;
  doing("allocating");
  const list = [];
  for (let n = random(20); n; n--) list.push(core.mempool_alloc(pool) >>> 0);
  doing("ending a pool");
  // A closed pool must have no outstanding element: no thread could get a handle to free a dead thread's.
  for (const element of list) core.mempool_free(pool, element);
  if (core.mempool_exit(pool) === 0) return;
  insist("mempool_detach", () => core.mempool_detach(pool));
}

function bump() {
  doing("at an arena");
  const arena = core.arena_create(1 + random(9000)) >>> 0;
  if (!arena) return;
  for (let n = random(5); n; n--) core.arena_alloc(arena, 1 + random(9000), 8);
  core.arena_exit(arena);
}

/** Another size for new elements, or a larger reserve. Refused while another thread does that, or memory is short. */
function change(k) {
  const { size, minNr, maxNr } = pools[k];
  if (random(2)) {
    doing("reshaping", k);
    core.mempool_reshape(handles[k], size + 8 * random(6), 8);
  } else {
    doing("resizing", k);
    core.mempool_resize(handles[k], minNr + random((maxNr < 0 ? minNr + 20 : maxNr) - minNr + 1));
  }
}

/** Reaps for the main thread on request; it may itself die in that. */
function reap() {
  const asked = Atomics.load(board, BOARD.reap);
  if (asked <= 0 || Atomics.compareExchange(board, BOARD.reap, asked, -1 - lane) !== asked) return;
  doing("reaping");
  core.heap_reap(asked - 1);
  Atomics.store(board, BOARD.reap, 0);
}

function step() {
  reap();
  const k = random(pools.length);
  const what = random(1000);
  if (what < 4) {
    doing("trimming");
    core.heap_trim();
  } else if (what < 8) {
    doing("settling");
    core.heap_idle();
  } else if (what < 14) bump();
  else if (random(40) === 0) change(k);
  else if (what < 24) comeAndGo();
  else if (what < 28) {
    doing("leaving and joining", k);
    for (const each of line.splice(0)) hold(each.k, core.mempool_wait_end(handles[each.k], each.place) >>> 0);
    insist("mempool_detach", () => core.mempool_detach(handles[k]));
    handles[k] = insist("mempool_attach", () => core.mempool_attach(pools[k].address) >>> 0);
  } else if (what < 44) wait(k);
  else if (what < 48) blocked(k);
  else if (what < 70) bulk(k);
  else if (what < 96) freeBulk(k);
  else if (what < 200) exchange(k);
  else if (what < 600) {
    doing("allocating", k);
    hold(k, (random(20) ? core.mempool_alloc(handles[k]) : core.mempool_alloc_preallocated(handles[k])) >>> 0);
  } else {
    const element = some(k);
    doing("freeing", k);
    if (element) give(k, element);
  }
}

if (role === "blocked") {
  // Every worker frees only just before it dies.
  doing("blocked", -1);
  core.mempool_alloc_wait(starvedHandle, Infinity);
  doing("finishing");
} else if (role === "in line") {
  doing("in line", -1);
  const places = Array.from({ length: 16 }, () => core.mempool_wait_begin(starvedHandle, 0) >>> 0);
  const i32 = new Int32Array(memory.buffer);
  while (Atomics.load(i32, places[0] >> 2) === 1) Atomics.wait(i32, places[0] >> 2, 1);
  doing("finishing");
} else {
  for (;;) step();
}
// It may hold an element that it was given: it waits to be ended.
Atomics.wait(board, BOARD.rows - 1, 0);
