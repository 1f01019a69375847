/**
 * The smoke test, for every place that the library must work in: installed, bundled, in a page, a worker, an audio
 * worklet, another runtime. Uses the public API, and of the host only ECMAScript and WebAssembly.
 */
import "wasm-mempool/inspect";
import { createSharedHeap, create, createArena, createHeap, createHeapAsync, f64, struct, u32 } from "wasm-mempool";

const Particle = struct({ x: f64, y: f64, id: u32 });

function expect(what, actual, expected) {
  if (actual !== expected) throw new Error(`${what}: expected ${expected}, got ${actual}`);
}

function codeOf(call) {
  try {
    call();
  } catch (error) {
    return error.code;
  }
  return "none";
}

/** Fills a pool on this heap until memory runs out, reads everything back, frees it, and tries bad frees. */
function exercise(heap) {
  const pool = heap.create({ size: Particle, minNr: 8 });
  const stranger = heap.create({ size: Particle.sizeof, minNr: 1 });
  const elements = [];
  for (let element = pool.alloc(); element !== 0; element = pool.alloc()) elements.push(element);
  expect("distinct addresses", new Set(elements).size, elements.length);
  expect("outstanding", pool.outstanding, elements.length);
  const particle = Particle.at(heap, elements[0]);
  elements.forEach((element, i) => {
    particle.move(element);
    particle.x = i / 2;
    particle.id = i;
  });
  elements.forEach((element, i) => {
    particle.move(element);
    expect("x", particle.x, i / 2);
    expect("id", particle.id, i);
  });
  expect(
    "a foreign free",
    codeOf(() => stranger.free(elements[0])),
    "ERR_FOREIGN_FREE",
  );
  expect(
    "an interior free",
    codeOf(() => pool.free(elements[1] + 8)),
    "ERR_INTERIOR_FREE",
  );
  for (const element of elements) pool.free(element);
  expect(
    "a double free",
    codeOf(() => pool.free(elements[0])),
    "ERR_DOUBLE_FREE",
  );
  expect("the reserve", pool.currNr, 8);
  expect("problems found", heap.check().join("; "), "");
  pool.exit();
  stranger.exit();
  return elements.length;
}

/** Returns the number of elements that each kind of heap gave before memory ran out. Throws on any fault. */
export function smoke() {
  const small = { initial: 131072, maximum: 131072 };
  const done = { plain: exercise(createHeap(small)) };
  done.imported = exercise(createHeap({ ...small, memory: new WebAssembly.Memory({ initial: 1 }), grows: true }));
  // A page that is not cross-origin isolated has no shared memory.
  if (typeof SharedArrayBuffer !== "undefined") done.shared = exercise(createSharedHeap({ ...small }));
  for (const [heap, elements] of Object.entries(done)) {
    if (elements < 3800) throw new Error(`the ${heap} heap gave only ${elements} elements of 128 KiB`);
  }
  // On the default heap.
  const pool = create({ size: (data) => data.bytes, data: { bytes: 48 }, minNr: 1 });
  const element = pool.alloc();
  expect("alignment", element % 8, 0);
  pool.free(element);
  const arena = createArena();
  expect("room in the arena", arena.alloc(100) !== 0, true);
  arena.exit();
  return done;
}

/** The same, and a heap whose core is compiled in the background. */
export async function smokeAsync() {
  const done = smoke();
  done.async = exercise(await createHeapAsync({ initial: 131072, maximum: 131072 }));
  return done;
}
