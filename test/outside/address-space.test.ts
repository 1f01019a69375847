/**
 * The host has no memory, or no address space, for one more heap: ERR_NO_MEMORY, however the engine words it. Chromium gives
 * some 125 plain memories a page, Node 12,800 a process, and none under a limit of address space.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createSharedHeap, createHeap, createHeapAsync, MempoolError } from "../../src/index.ts";
import { codeOf, errorFrom } from "../contract/helpers.ts";

afterEach(() => vi.unstubAllGlobals());

/** WebAssembly, but what makes an instance, or a memory, throws this. */
function throwing(name: "Instance" | "Memory", thrown: unknown): void {
  const replaced = function () {
    throw thrown;
  };
  const real = WebAssembly;
  vi.stubGlobal("WebAssembly", {
    __proto__: null,
    ...Object.fromEntries(Object.getOwnPropertyNames(real).map((key) => [key, real[key as never]])),
    [name]: replaced,
  });
}

describe.each([
  ["V8", new RangeError("WebAssembly.Instance(): Out of memory: Cannot allocate Wasm memory for new instance")],
  ["V8, an earlier one", new RangeError("WebAssembly.Instance(): Out of memory: wasm memory")],
  ["JavaScriptCore", new RangeError("Out of memory")],
  ["SpiderMonkey", new (class InternalError extends Error {})("out of memory")],
  ["SpiderMonkey, which throws a text", "out of memory"],
])("%s", (_, thrown) => {
  test("an instance with a memory of its own is ERR_NO_MEMORY", async () => {
    throwing("Instance", thrown);
    expect(codeOf(() => createHeap())).toBe("ERR_NO_MEMORY");
    expect(errorFrom(() => createHeap()).cause).toBe(thrown);
    await expect(createHeapAsync()).rejects.toMatchObject({ code: "ERR_NO_MEMORY" });
  });

  test("an instance on a given memory is ERR_NO_MEMORY", () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    throwing("Instance", thrown);
    expect(codeOf(() => createHeap({ memory, grows: true }))).toBe("ERR_NO_MEMORY");
    // Nothing was taken of it.
    expect(memory.buffer.byteLength).toBe(65536);
  });

  test("a shared memory is ERR_NO_MEMORY", () => {
    throwing("Memory", thrown);
    expect(codeOf(() => createSharedHeap())).toBe("ERR_NO_MEMORY");
  });
});

test.each([new WebAssembly.LinkError("import 0 is no memory"), new TypeError("import env must be an object")])(
  "a module that does not go with the memory is a bad argument: %s",
  (thrown) => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    throwing("Instance", thrown);
    expect(errorFrom(() => createHeap({ memory, grows: true }))).toMatchObject({
      code: "ERR_INVALID_ARGUMENT",
      cause: thrown,
    });
  },
);

test.skipIf(process.platform !== "linux").each(["createHeap", "createSharedHeap"])(
  "a process without address space gets ERR_NO_MEMORY: %s",
  (make) => {
    const entry = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
    const program = `
    import { ${make} } from ${JSON.stringify(entry)};
    const heaps = [];
    try {
      while (heaps.length < 100) heaps.push(${make}());
    } catch (error) {
      console.log(error.name, error.code, heaps.length < 3);
    }`;
    const node = [process.execPath, "--input-type=module", "--eval", program];
    // In KiB: enough for Node, and for one memory with the guard regions around it at most.
    const printed = execFileSync("sh", ["-c", 'ulimit -v 12000000; exec "$0" "$@"', ...node], { encoding: "utf8" });
    expect(printed).toBe(`${MempoolError.name} ERR_NO_MEMORY true\n`);
  },
);
