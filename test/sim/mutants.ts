/** Weakened cores, for mutants.test.ts: each is a fault that a case of the search must find. */
export interface Mutant {
  readonly name: string;
  /** Texts that occur once, each with its replacement. */
  readonly changes: readonly (readonly [string, string])[];
  readonly caught: string;
  /** Of the build with malloc. */
  readonly malloc?: true;
  /** Of the build of debug heaps. */
  readonly debug?: true;
}

export const mutants: readonly Mutant[] = [
  {
    name: "syncGate does not check the pool again",
    changes: [["while (THREADS && now != GATE_SHUT && gateOf(pool, m) != now)", "while (false)"]],
    caught: "one takes from the reserve while another opens its gate",
  },
  {
    name: "short is set before the element is counted off",
    changes: [
      [
        "    element = reserveTake(changetype<Epoch>(m.epoch), false);\n",
        "    markShort(pool);\n    element = reserveTake(changetype<Epoch>(m.epoch), false);\n",
      ],
      ["  if (element) {\n    markShort(pool);\n", "  if (element) {\n"],
    ],
    caught: "one takes from the reserve, another frees, a third too",
  },
  {
    name: "the gates are looked at before short is set",
    changes: [
      [
        '  atomicStore<u32>(wordOf(pool, offsetof<Pool>("short")), nextSequence(pool));\n  if (!THREADS)',
        "  if (!THREADS)",
      ],
      [
        '      atomicStore<u64>(m + offsetof<Magazine>("allocLimit"), GATE_SHUT);\n  }\n}\n\n/** Makes the next call',
        '      atomicStore<u64>(m + offsetof<Magazine>("allocLimit"), GATE_SHUT);\n  }\n  atomicStore<u32>(wordOf(pool, offsetof<Pool>("short")), nextSequence(pool));\n}\n\n/** Makes the next call',
      ],
    ],
    caught: "one takes from the reserve while another opens its gate",
  },
  {
    name: "short is cleared although another thread has set it again",
    changes: [["compareExchange<u32>(short, seen, 0);", "atomicStore<u32>(short, 0);"]],
    caught: "one takes from the reserve while another fills it",
  },
  {
    name: "the stack of slabs has no number",
    changes: [
      ["(((head >> 32) + 1) << 32) | (<u64>slab)", "<u64>slab"],
      ["(((head >> 32) + 1) << 32) | (<u64>next)", "<u64>next"],
    ],
    caught: "a slab comes back to the stack",
  },
  {
    name: "waiting is cleared although another thread has set it again",
    changes: [["compareExchange<u32>(waiting, seen, 0);", "atomicStore<u32>(waiting, 0);"]],
    caught: "cancel, with another behind",
  },
  {
    name: "a hand-over does not notify the waiter",
    changes: [["  atomicNotify(waiter);\n  return true;", "  return true;"]],
    caught: "wait",
  },
  {
    name: "a free serves no waiter",
    changes: [
      ["  if (THREADS && !closed && isWaiting(pool) && handOver(", "  if (false && handOver("],
      ["  if (THREADS && isWaiting(pool)) flushAndServe(m);\n  return true;\n", "  return true;\n"],
    ],
    caught: "wait",
  },
  {
    name: "a return stacks a slab that another thread holds",
    changes: [["  if (!(old & SLAB_KEPT)) slabPush(partialOf(cache), slab);", "  slabPush(partialOf(cache), slab);"]],
    caught: "free and allocate in one slab",
  },
  {
    name: "a thread takes a slab off the stack unannounced",
    changes: [["    announceSlab(slab);\n    // If", "    // If"]],
    caught: "death in alloc and free",
  },
  {
    name: "a thread returns to a slab unannounced",
    changes: [
      ["    announceSlab(at);\n    let groups", "    let groups"],
      ["  announceSlab(at);\n  atomicStore<u8>(state", "  atomicStore<u8>(state"],
    ],
    caught: "death between magazine and slabs",
  },
  {
    name: "a waiter leaves its slot before it marks the element",
    changes: [
      ["  // Ordering: LIVE before", "  atomicStore<u64>(waiter, 0);\n  // Ordering: LIVE before"],
      ["  atomicStore<u64>(waiter, 0);\n  return element;", "  return element;"],
    ],
    caught: "death after being served",
  },
  {
    name: "an element is marked RESERVED after it can be taken",
    changes: [
      [
        "  atomicStore<u8>(state, <u8>STATE_RESERVED);\n  fillSlot(epoch, element, <u32>counts);\n",
        "  fillSlot(epoch, element, <u32>counts);\n  atomicStore<u8>(state, <u8>STATE_RESERVED);\n",
      ],
    ],
    caught: "the reserve",
  },
  {
    name: "a pool makes more slabs than maxNr allows",
    changes: [
      [
        'if (!compareExchange<u32>(changetype<usize>(cache) + offsetof<Cache>("capacity"), used, used + end)) continue;',
        'atomicAdd<u32>(changetype<usize>(cache) + offsetof<Cache>("capacity"), end);',
      ],
    ],
    caught: "one for two",
  },
  {
    name: "two frees can each be the last",
    changes: [['return all && compareExchange<u32>(wordOf(pool, offsetof<Pool>("ended")), 0, 1);', "return all;"]],
    caught: "exit and the last free",
  },
  {
    name: "the last waiter is served first",
    changes: [["- <u32>(first >> 32)) >= 0)) continue;", "- <u32>(first >> 32)) <= 0)) continue;"]],
    caught: "two waiters, served in order",
  },
  {
    name: "a waiter is out of sight until `waiting` is set",
    changes: [
      ["  if (load<u32>(own) <= waiter) atomicStore<u32>(own, waiter + offsetof<Waiter>());\n", ""],
      [
        "  recallCached(pool);\n  syncGate(m);\n  serve(m);\n  return waiter;",
        "  atomicStore<u32>(own, waiter + offsetof<Waiter>());\n  recallCached(pool);\n  syncGate(m);\n  serve(m);\n  return waiter;",
      ],
    ],
    caught: "two waiters, served in order",
  },
  {
    name: "a thread that leaves a place hides those behind it",
    changes: [
      [
        "  while (end > m.waiters && !atomicLoad<u32>(end - offsetof<Waiter>())) end -= offsetof<Waiter>();\n",
        "  end = waiter;\n",
      ],
    ],
    caught: "a thread leaves its first place and waits in the second",
  },
  {
    name: "a close wakes the first place alone",
    changes: [
      [
        "      if (<u32>word == WAITING) compareExchange<u64>(waiter, word, (word & SEQUENCE) | (<u64>value));\n      atomicNotify(waiter);\n",
        "      if (<u32>word == WAITING) compareExchange<u64>(waiter, word, (word & SEQUENCE) | (<u64>value));\n      atomicNotify(waiter);\n      break;\n",
      ],
    ],
    caught: "two places of a thread when the pool is closed",
  },
  {
    name: "the reaper leaves cached elements with the dead thread",
    changes: [["  reapCached(number);\n  atomicStore<u32>(walker, 0);", "  atomicStore<u32>(walker, 0);"]],
    caught: "death in alloc and free",
  },
  {
    name: "the reaper does not check whether an element was handed over",
    changes: [["    if (changetype<usize>(pool) && isHandedOver(pool, element)) continue;\n", ""]],
    caught: "death while freeing for a waiter",
  },
  {
    name: "a reshape leaves the old reserve",
    changes: [["      endEpoch(old);\n", ""]],
    caught: "no old size after a reshape: mempool_alloc",
  },
  {
    name: "a thread that fills the reserve does not read minNr again",
    changes: [["  if (missing(epoch) < 0) reserveTrim(epoch);\n", ""]],
    caught: "shrink, free; 2 of 2",
  },
  {
    name: "a compare-exchange counts the reserve without minNr",
    changes: [
      [
        "while (!compareExchange<u64>(countsAt(epoch), counts, counts + ONE));",
        "while (!compareExchange<u32>(countsAt(epoch), <u32>counts, <u32>counts + 1));",
      ],
      ["  if (missing(epoch) < 0) reserveTrim(epoch);\n", ""],
    ],
    caught: "shrink, free; 2 of 2",
  },
  {
    name: "two threads make epochs at once",
    changes: [
      [
        'return compareExchange<u32>(wordOf(pool, offsetof<Pool>("resizer")), 0, selfNumber() + 1);',
        'atomicStore<u32>(wordOf(pool, offsetof<Pool>("resizer")), selfNumber() + 1);\n  return true;',
      ],
    ],
    caught: "two reshape",
  },
  {
    name: "the reaper does not end a half-made epoch",
    changes: [["if (pool.initialised) endOthers(pool);", "if (pool.initialised) {}"]],
    caught: "death in reshape",
  },
  {
    name: "a trim of the reserve takes elements below minNr",
    changes: [["if (above && taken && ", "if (false && "]],
    caught: "shrink by one while another frees",
  },
  {
    name: "a magazine adopts an epoch before other threads can see it",
    changes: [
      ["  m.allocLimit = -1;\n", "  m.allocLimit = -1;\n  adoptEpoch(m, pool);\n"],
      ["seen here (isReusable).\n  adoptEpoch(m, pool);\n", "seen here (isReusable).\n"],
    ],
    caught: "one attaches while another reshapes twice",
  },
  {
    name: "serving takes from a magazine of an old epoch",
    changes: [["  if (isStale(m)) syncGate(m);\n  if (!roundsIn(m)", "  if (!roundsIn(m)"]],
    caught: "one leaves with an old magazine while another waits",
  },
  {
    name: "a freed element goes into the magazine of a later epoch",
    changes: [["m.capacity && changetype<usize>(epoch) == m.epoch &&", "m.capacity &&"]],
    caught: "one frees, and then allocates, while another reshapes",
  },
  {
    name: "a search of the slabs ignores those that become empty meanwhile",
    changes: [["const SWEEPS: u32 = 8;", "const SWEEPS: u32 = 1;"]],
    caught: "exit and the last free, of a slab with more free elements",
  },
  {
    name: "a magazine adopts an epoch without a second read",
    changes: [["} while (THREADS && atomicLoad<u32>(current) != at);", "} while (false);"]],
    caught: "one adopts an epoch while another makes two more",
  },
  {
    name: "a failed search for pages is never repeated",
    changes: [["an outdated `notFound`.\n  runFreed();\n", "\n"]],
    caught: "memory comes free while another looks for it",
  },
  {
    name: "an alloc that finds the magazine empty serves no waiter",
    changes: [["  if (THREADS) serveOrFinish(m);\n  return element;", "  return element;"]],
    caught: "alloc beside a wait",
  },
  {
    name: "reserveTake searches the slots once",
    changes: [["else if (++looks > numbersGiven()) break;", "else break;"]],
    caught: "one of the reserve's is always there, whatever a third takes",
  },
  {
    name: "reserveTake searches once and no put is counted",
    changes: [
      ["  if (THREADS) atomicAdd<u32>(putsAt(epoch), 1);\n", ""],
      ["else if (++looks > numbersGiven()) break;", "else break;"],
    ],
    caught: "one of the reserve's is always there: mempool_alloc",
  },
  {
    name: "the reaper trusts a disturbed count of a reserve",
    changes: [["    if (workOn(WORD_HAND, owner) != before) continue;\n", ""]],
    caught: "death in free beside alloc then free; 2 of 2, 1 out, 1",
  },
  {
    name: "the reaper trusts a disturbed look at a slab",
    changes: [
      [
        "    if (workOn(WORD_SLAB, address) != before || workOnRuns(page) == -1 || atomicLoad<u64>(at) != entry) continue;\n    // No other thread's work changes",
        "    // No other thread's work changes",
      ],
    ],
    caught: "death in free beside free then alloc; 0 of 8, 2 out, 1",
  },
  {
    name: "a number is reused with its last bearer's outstanding elements",
    changes: [["if (t.scratch && (isFirst || disownPredecessors())) return true;", "if (t.scratch) return true;"]],
    caught: "a second bearer of a number dies: the elements of the first are not listed",
  },
  {
    name: "the second reaper does not check whether the thread is reaped",
    changes: [["atomicLoad<u64>(at) == life ? i32(reapLocked(number)) : 0;", "i32(reapLocked(number));"]],
    caught: "two reap one thread while a third takes its number",
  },
  {
    name: "taken counts elements on their way to a slab",
    changes: [
      [
        "  beginTransit(m, -1);\n  elementReturn(entry, state);\n  endTransit(m, 0);",
        "  elementReturn(entry, state);\n  m.taken--;",
      ],
    ],
    caught: "death in free beside free then alloc; 0 of 8, 2 out, 1",
  },
  {
    name: "the marks of a dead thread's bulk free stay",
    changes: [["while (dead.transit >> 1 && ", "while (false && "]],
    caught: "death in a bulk free of another's elements",
  },
  {
    name: "a thread that joins leaves alone what another is marking",
    changes: [
      [
        "    } while (((<u32>byte) & mask) == live && !compareExchange<u8>(state, byte, <u8>(byte | LEFT_NUMBER)));",
        "    } while (false);\n    if (((<u32>byte) & mask) == live) compareExchange<u8>(state, byte, <u8>(byte | LEFT_NUMBER));",
      ],
    ],
    caught: "a refused bulk free of what a thread has left behind, while another joins under its number",
  },
  {
    name: "a mark brings an owner back that has left",
    changes: [["else atomicXor<u8>(state, <u8>STATE_MARK);", "else atomicStore<u8>(state, <u8>(byte ^ STATE_MARK));"]],
    caught: "a refused bulk free of what a thread has left behind, while another joins under its number",
  },
  {
    name: "two bulk requests can starve each other",
    changes: [["    if (isContended) continue;\n", ""]],
    caught: "two bulk requests for three of four",
  },
  {
    name: "an arena outlives its thread",
    changes: [["    endArenas(number);\n", ""]],
    caught: "death with an arena",
  },
  {
    name: "a pool that no thread can reach stays",
    changes: [["if (!THREADS || (pool.isShared && !isClosed(pool))) return;", "return;"]],
    caught: "death with a pool of its own",
  },
  {
    name: "a waiter is served by its address, whatever it waits for now",
    changes: [["const sequence = first & SEQUENCE;", "const sequence = atomicLoad<u64>(waiter) & SEQUENCE;"]],
    caught: "a thread leaves the queue and enters it again: it stands behind one that came meanwhile",
  },
  {
    name: "a magazine names the rounds that it has freed",
    changes: [
      ["  const old = m.first;\n", "  const old = m.first;\n  if (old && old != ownRounds(m)) ownFree(old);\n"],
      [
        "  m.capacity = capacity;\n  // `first` no longer names it: a thread that dies here leaks the memory, and nobody frees it twice.\n  if (old && old != ownRounds(m)) ownFree(old);\n",
        "  m.capacity = capacity;\n",
      ],
    ],
    caught: "death in a trim of a magazine that has grown",
  },
  {
    name: "reclaim returns elements to slabs and serves nobody",
    changes: [["    if (changetype<usize>(m) && isWaiting(pool)) serve(m);\n", ""]],
    caught: "trim serves another that waits",
  },
  {
    name: "reclaim serves before it searches the slabs",
    changes: [
      [
        "    if (changetype<usize>(m) && emptyMagazine(m)) moved = true;\n",
        "    if (changetype<usize>(m) && emptyMagazine(m)) moved = true;\n    if (THREADS && changetype<usize>(m) && isWaiting(pool)) serve(m);\n",
      ],
      ["    if (changetype<usize>(m) && isWaiting(pool)) serve(m);\n", ""],
    ],
    caught: "a thread trims while another begins to wait",
  },
  {
    name: "an alloc from the reserve alone keeps what its magazine has from waiters",
    changes: [["  if (THREADS && isWaiting(pool)) {\n    syncGate(m);\n    flushAndServe(m);\n  }\n", ""]],
    caught: "an alloc from the reserve alone serves another that waits",
  },
  {
    name: "the reaper puts an empty box into the reserve",
    changes: [["if (changetype<usize>(pool) && !isEmpty) storeUnowned", "if (changetype<usize>(pool)) storeUnowned"]],
    caught: "death with an empty box in hand: it does not come into the reserve",
  },
  {
    name: "a host's element comes into its box after the box comes into the reserve",
    changes: [
      ["      if (isEmpty) userStore(box, userLoad(at));\n", ""],
      ["      if (!isEmpty) continue;\n", "      if (!isEmpty) continue;\n      userStore(box, userLoad(at));\n"],
    ],
    caught: "a host fills the reserve while another takes from it",
  },
  {
    name: "taken counts boxes on their way to the reserve",
    changes: [["    beginTransit(m, 0);\n    const want", "    const want"]],
    caught: "death of a host that fills the reserve",
  },
  {
    name: "taken counts boxes on their way from the reserve",
    changes: [["    beginTransit(m, 0);\n    for (got = 0;", "    for (got = 0;"]],
    caught: "death of a host that takes back what the reserve has above minNr",
  },
  {
    name: "the reaper counts an element that its waiter fetches meanwhile",
    changes: [
      ["    if (<u32>atomicLoad<u8>(stateAt(element)) == (STATE_CACHED | number)) m.inTaken++;", "    m.inTaken++;"],
    ],
    caught: "death after handing over: the waiter fetches its element while another reaps",
  },
  {
    name: "the reaper does not say that it walks slabs",
    changes: [["  atomicStore<u32>(walker, selfNumber() + 1);\n  uncount(number);", "  uncount(number);"]],
    caught: "death after handing over: the element's slab goes while another reaps",
  },
  {
    name: "a slab goes back to pages while another thread walks",
    changes: [["      if (!isWalked()) {\n", "      if (true) {\n"]],
    caught: "death after handing over: the element's slab goes while another reaps",
  },
  {
    name: "a reaper takes the lock over and does not look for threads that have left",
    changes: [
      [
        "  if (!tryLock()) return false;\n  let finished = false;",
        '  if (!tryLock()) return false;\n  atomicStore<u32>(heapBase() + offsetof<Heap>("leavers"), 0);\n  let finished = false;',
      ],
    ],
    caught: "death of a thread that finishes one which has left",
  },
  {
    name: "a thread that another has begun to finish looks like one that died",
    changes: [["lifeOf(life, LIFE_DEAD, 0) | LIFE_JOINING)", "lifeOf(life, LIFE_DEAD, 0))"]],
    caught: "death of a thread that finishes one which has left",
  },
  {
    name: "a thread that another has begun to finish is not finished",
    changes: [["if (!isLeft && !isBegun) continue;", "if (!isLeft) continue;"]],
    caught: "death of a thread that finishes one which has left",
  },
  {
    name: "a create that fails keeps its handle",
    changes: [["if (exitPool(m)) closeHandle(m);", "exitPool(m);"]],
    caught: "create fails while another trims: no pool stays",
  },
  {
    name: "a thread that joins does not end the pools that could not end meanwhile",
    changes: [["  // A pool whose last slab became empty meanwhile could not end.\n  settlePools();\n", ""]],
    caught: "the last free while another joins under a used number",
  },
  {
    name: "a full magazine makes room without a second look at its gate",
    changes: [
      [
        '  if (!THREADS || m.top < atomicLoad<u32>(changetype<usize>(m) + offsetof<Magazine>("freeLimit"))) {',
        "  if (true) {",
      ],
    ],
    caught: "a full magazine makes room while another waits",
  },
  {
    name: "the reaper takes rounds for cached that the dead thread had returned",
    changes: [["    if (<u32>guess<u8>(state) != (STATE_CACHED | number)) continue;\n", ""]],
    caught: "death between magazine and slabs",
  },
  {
    name: "a thread without a handle counts what it frees after it is free",
    changes: [
      [
        "  beginTransitAt(taken, -1);\n  storeUnowned(pool, element);\n  endTransitAt(taken, 0);\n",
        "  storeUnowned(pool, element);\n  endTransitAt(taken, -1);\n",
      ],
    ],
    caught: "malloc: death in a free by a thread without a handle, and without memory for one",
    malloc: true,
  },
  {
    name: "a thread without a handle counts what it takes after it is outstanding",
    changes: [
      ["  endTransitAt(taken, element ? 1 : 0);\n  if (!element) return 0;\n", "  if (!element) return 0;\n"],
      [
        "  store<u8>(stateAt(element), <u8>(STATE_LIVE | selfNumber()));\n  return element;\n}\n\n/** Frees a live element of a class",
        "  store<u8>(stateAt(element), <u8>(STATE_LIVE | selfNumber()));\n  markShort(pool);\n  endTransitAt(taken, 1);\n  return element;\n}\n\n/** Frees a live element of a class",
      ],
    ],
    caught: "malloc: death in taking from a reserve by a thread without a handle, and without memory for one",
    malloc: true,
  },
  {
    name: "a thread waits for ever for one that has begun to make the heap",
    changes: [["if (isBegun ? --looks != 0 : ", "if (isBegun || "]],
    caught: "malloc: death in making the heap",
    malloc: true,
  },
  {
    name: "two threads that make the heap each keep their own",
    changes: [
      [
        "if (compareExchange<u32>(word, begun, heap ? <u32>heap : seen) || !heap) return heap;",
        "atomicStore<u32>(word, <u32>heap);\n    if (heap) return heap;",
      ],
    ],
    caught: "malloc: two threads make the heap",
    malloc: true,
  },
  {
    name: "a thread that makes the heap late takes the word of another maker for its own",
    changes: [["const begun = seen | BEGUN;", "const begun = BEGUN;"]],
    caught: "malloc: a heap is made and ended while another thread makes one",
    malloc: true,
  },
  {
    name: "of two frees of a guarded element both succeed",
    changes: [
      [
        "    } while (!compareExchange<u8>(state, live, <u8>cachedBy(m)));",
        "    } while (false);\n    atomicStore<u8>(state, <u8>cachedBy(m));",
      ],
      [
        "import { atomicLoad, CHECKED, compareExchange, DEBUG, THREADS }",
        "import { atomicLoad, atomicStore, CHECKED, DEBUG, THREADS }",
      ],
    ],
    caught: "debug heap: two frees at the same instant",
    debug: true,
  },
  {
    name: "a free takes a change of the owner for another free",
    changes: [
      [
        "    } while (!compareExchange<u8>(state, live, <u8>cachedBy(m)));",
        "      if (!compareExchange<u8>(state, live, <u8>cachedBy(m))) return DOUBLE_FREE;\n    } while (false);",
      ],
    ],
    caught: "debug heap: a free of what a thread has left behind, while another joins under its number",
    debug: true,
  },
  {
    name: "a free does not look again whether its slab is there",
    changes: [["      if (gone) return gone;\n      state = stateIn(entry, element);\n", ""]],
    caught: "debug heap: death in one of two frees of an element",
    debug: true,
  },
  {
    name: "an alloc leaves the quarantine as it is",
    changes: [
      ["    if (DEBUG && drain(pool)) moved = true;\n", ""],
      ["? 1 : -1) && !(DEBUG && drain(poolOf(m)) && refill(m, 1, 1))) {", "? 1 : -1)) {"],
    ],
    caught: "debug heap: an alloc gets what only the quarantine has",
    debug: true,
  },
  {
    name: "a waiter leaves the quarantine as it is",
    changes: [
      [
        "!refill(m, 1, 1) && !(DEBUG && drain(poolOf(m)) && refill(m, 1, 1))) {\n    return",
        "!refill(m, 1, 1)) {\n    return",
      ],
    ],
    caught: "debug heap: a waiter gets what only the quarantine has",
    debug: true,
  },
  {
    name: "a free into quarantine does not look again for a waiter",
    changes: [["    if (isNeeded(pool)) drain(pool);\n    if (THREADS && isWaiting(pool)) flushAndServe(m);\n", ""]],
    caught: "debug heap: a waiter gets what goes into quarantine meanwhile",
    debug: true,
  },
  {
    name: "the record of a stale magazine's sampled elements serves again",
    changes: [["    if (DEBUG && m && isSampledBy(changetype<Magazine>(m), epoch)) return false;\n", ""]],
    caught: "debug heap: sampled, an alloc beside two reshapes",
    debug: true,
  },
  {
    name: "an element is QUARANTINED before a slot names it",
    changes: [
      [
        "    if (compareExchange<u64>(slot, word, nextWord(word, element))) {",
        "    compareExchange<u8>(state, <u8>stateCached(), <u8>STATE_QUARANTINED);\n    if (compareExchange<u64>(slot, word, nextWord(word, element))) {",
      ],
    ],
    caught: "debug heap: death in a free into quarantine",
    debug: true,
  },
  ...["joins under a used number", "reaps"].map((name) => ({
    name: `a free does not look again for a slab that it kept while another ${name}`,
    changes: [['      if (!isWalked()) addTo(cache, offsetof<Cache>("emptied"), 1);\n', ""]] as const,
    caught: `the last free while another ${name}`,
  })),
];
