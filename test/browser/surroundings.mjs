/** A page that is not cross-origin isolated; and, as its iframe, one whose policy lets no wasm be compiled. */
import { createSharedHeap, attach, create, createHeap, createHeapAsync } from "wasm-mempool";

const failure = (error) => `${error.code}: ${error.message}`;
function thrown(call) {
  try {
    call();
  } catch (error) {
    return failure(error);
  }
  return "nothing";
}

/** The engine's error for a cloned pool, and for an object without the library's hint. */
function cloned(what) {
  try {
    structuredClone(what);
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
  return "nothing";
}

async function here() {
  const heap = createSharedHeap({ maximum: 2 ** 20 });
  const pool = heap.create({ size: 64, minNr: 2 });
  const { memory } = heap;
  const frame = document.createElement("iframe");
  document.body.append(frame);
  const theirs = frame.contentWindow;
  const out = new theirs.Uint32Array(2);
  const wasBulk = pool.allocBulk(out);
  pool.freeBulk(out);
  const theirMemory = new theirs.WebAssembly.Memory({ initial: 1 });
  const inFrame = createHeap({ memory: theirMemory, grows: true }).create({ size: 8, minNr: 1 });
  const signal = theirs.AbortSignal.abort("theirs");
  return {
    isolated: crossOriginIsolated,
    constructor: typeof SharedArrayBuffer,
    given: createSharedHeap({
      grows: true,
      memory: new WebAssembly.Memory({ initial: 1, maximum: 16, shared: true }),
    }).create({
      size: 8,
      minNr: 1,
    }).currNr,
    isShared: Object.prototype.toString.call(memory.buffer),
    share: thrown(() => pool.share()),
    attach: thrown(() => attach({ memory, module: {}, address: 8, id: "x" })),
    iframe: { isOurs: out instanceof Uint32Array, wasBulk, element: inFrame.alloc() > 0 },
    signal: await pool.allocAsync({ signal }).catch((reason) => reason),
    clone: cloned(create({ size: 8, minNr: 1 })),
  };
}

async function withPolicy() {
  return { sync: thrown(() => createHeap()), async: await createHeapAsync().catch(failure) };
}

const report = {};
try {
  if (location.pathname === "/policy") parent.postMessage(await withPolicy(), "*");
  else {
    report.agent = navigator.userAgent;
    report.page = await here();
    const frame = document.createElement("iframe");
    frame.src = "/policy";
    const answer = new Promise((resolve) => addEventListener("message", ({ data }) => resolve(data)));
    document.body.append(frame);
    report.policy = await answer;
  }
} catch (error) {
  report.error = `${error.stack ?? error}`;
}
if (location.pathname !== "/policy") await fetch("/report", { method: "POST", body: JSON.stringify(report) });
