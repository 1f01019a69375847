/** The exact counts of what the cores execute for fixed workloads, so that a change of them shows in a diff. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import wabt from "wabt";
import { differences, measure, message, recorded, type Counts } from "../../bench/counts/counts.mjs";
import { instrument, type Counter } from "../../bench/counts/instrument.mjs";

const counted = measure();

test("the cores execute what counts.json says", () => {
  const lines = differences(recorded(), counted);
  expect(lines, message(lines)).toEqual([]);
});

test("a second count gives the same", () => {
  expect(measure()).toEqual(counted);
});

const { parseWat } = await wabt();
async function assemble(text: string): Promise<WebAssembly.Exports> {
  const module = parseWat("test.wat", text, { threads: true });
  const { buffer } = module.toBinary({});
  module.destroy();
  return new WebAssembly.Instance(new WebAssembly.Module(instrument(new Uint8Array(buffer)))).exports;
}
const read = (exports: WebAssembly.Exports): Record<Counter, bigint> => {
  const value = (name: Counter): bigint => (exports[name] as WebAssembly.Global<"i64">).value;
  return { instructions: value("instructions"), accesses: value("accesses"), locked: value("locked") };
};

test("the counter counts exactly the executed instructions", async () => {
  const exports = await assemble(`(module
    (memory 1 1 shared)
    (global $own (mut i32) (i32.const 5))
    (func $twice (param i32) (result i32)
      local.get 0  i32.const 1  i32.shl)                 ;; 3
    (func (export "loop") (param $n i32)
      (block $out
        (loop $again
          local.get $n  i32.eqz  br_if $out              ;; 3, n + 1 times
          local.get $n  call $twice  drop                ;; 3 and 3, n times
          local.get $n  i32.const 1  i32.sub  local.set $n
          br $again)))                                   ;; 5, n times
    (func (export "choose") (param i32) (result i32)
      (if (result i32) (local.get 0)                     ;; 2
        (then (i32.load8_u (i32.const 0)))               ;; 2
        (else (f64.const 1) drop (f32.const 1) drop
              (i64.const -1234567890123) drop global.get $own)))  ;; 7
    (func (export "early") (param i32)
      (block $b (block $a (br_table $a $b (local.get 0)) (drop (i32.const 1)))  ;; 2
        return (drop (i32.const 1)))                              ;; 1, for 0
      nop)
    (func (export "long") ${"i32.const 1 drop ".repeat(50)})      ;; 100
    (func (export "longer") ${"i32.const 1 drop ".repeat(5000)})  ;; 10000
    (func (export "touch")
      (i32.store offset=70000 align=1 (i32.const -70000) (i32.const -1)))
    (func (export "memory")
      (memory.fill (i32.const 0) (i32.const 0) (i32.const 100))   ;; 4
      (drop (i32.atomic.load (i32.const 0)))                      ;; 3
      (i32.atomic.store (i32.const 0) (i32.const 300))            ;; 3
      (drop (i64.atomic.rmw.add (i32.const 0) (i64.const 1)))     ;; 4
      (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))) ;; 4
  `);
  const counts = (name: string, ...args: number[]): number[] => {
    const before = read(exports);
    (exports[name] as (...args: number[]) => unknown)(...args);
    const after = read(exports);
    return [
      after.instructions - before.instructions,
      after.accesses - before.accesses,
      after.locked - before.locked,
    ].map(Number);
  };
  expect(counts("loop", 0)).toEqual([3, 0, 0]);
  expect(counts("loop", 1000)).toEqual([3 + 1000 * 14, 0, 0]);
  expect(counts("choose", 1)).toEqual([4, 1, 0]);
  expect(counts("choose", 0)).toEqual([9, 0, 0]);
  expect(counts("early", 0)).toEqual([3, 0, 0]);
  expect(counts("early", 1)).toEqual([2, 0, 0]);
  expect(counts("long")).toEqual([100, 0, 0]);
  expect(counts("longer")).toEqual([10_000, 0, 0]);
  expect(() => counts("touch")).toThrow(WebAssembly.RuntimeError);
  expect(counts("memory")).toEqual([18, 4, 3]);
});

test("the counter refuses an unknown instruction", () => {
  expect(() => instrument(Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, 10, 5, 1, 3, 0, 0xfd, 0x0b]))).toThrow("0xfd");
});

test("a difference is reported by workload", () => {
  const counts: Counts = { calls: 100, instructions: 2800, accesses: 800, locked: 0 };
  const before = { "core.wasm": { alloc: counts, free: counts, old: counts } };
  const now = { "core.wasm": { alloc: { ...counts, instructions: 2950, locked: 100 }, free: counts, newer: counts } };
  const lines = differences(before, now);
  expect(lines).toEqual([
    "core.wasm: alloc: 28 -> 29.50 instructions (+5.4 %)",
    "core.wasm: alloc: 0 -> 1 locked",
    "core.wasm: old: is gone",
    "core.wasm: newer: is new",
  ]);
  expect(message(lines)).toMatch(/npm run counts:update/);
  expect(differences(before, before)).toEqual([]);
});

interface Row {
  readonly side: string;
  readonly extra: { readonly calls: number; readonly accesses: number; readonly locked: number };
  readonly stats: { readonly median: number };
}
const command = (...args: string[]): string =>
  execFileSync("npm", ["run", "--silent", "counts", "--", ...args], { encoding: "utf8" });

test("the command prints the counts", () => {
  const { suites } = JSON.parse(command("--json", "-")) as { suites: { tables: { rows: Row[] }[] }[] };
  const given = suites[0]!.tables.map(({ rows }) =>
    rows.map(({ side, stats: { median: instructions }, extra: { calls, accesses, locked } }) => [
      side,
      {
        calls,
        instructions: Math.round(instructions * calls),
        accesses: Math.round(accesses * calls),
        locked: Math.round(locked * calls),
      },
    ]),
  );
  expect(given.map((rows) => Object.fromEntries(rows) as unknown)).toEqual(Object.values(counted));
  expect(command()).toContain("alloc, from the magazine");
});
