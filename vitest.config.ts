import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** In a coverage run, the folder that tests leave their counts in: see scripts/coverage.mjs. */
const counts = process.env["WASM_COVERAGE"];

const searches = [
  "test/contract/queue-interleavings.test.ts",
  "test/sim/harness.test.ts",
  "test/sim/cases.test.ts",
  "test/sim/debug.test.ts",
  "test/sim/malloc.test.ts",
  "test/sim/mutants.test.ts",
  "test/sim/worst.test.ts",
];
const benchmarks = ["test/bench/*.test.ts"];
/** A build repeated, the package as users get it, guests of other languages, and threads that stand still in the way of others. */
const wider = [
  "test/packaging/*.test.ts",
  "test/recipes/*.test.ts",
  "test/bundlers/*.test.ts",
  "test/golden/again.test.ts",
  "test/guests/*.test.ts",
  "test/outside/busy.test.ts",
  "test/outside/beside-guest.test.ts",
];
/** What needs the bytes that users get, or dist/. */
const shipped = [
  "test/counts/counts.test.ts",
  "test/golden/abi.test.ts",
  "test/golden/golden.test.ts",
  "test/golden/worst.test.ts",
  "test/hosts/*.test.ts",
  "test/outside/address-space.test.ts",
  "test/outside/command.test.ts",
  "test/outside/endings.test.ts",
  "test/outside/readme.test.ts",
  "test/outside/reports.test.ts",
  "test/outside/trouble.test.ts",
  "test/outside/watch.test.ts",
  "test/raid1/*.test.ts",
  "test/threads/threads.test.ts",
];
const elsewhere = ["test/browser/**", "test/runtimes/**", ...searches, ...benchmarks, ...wider, ...shipped];
/** These run no code of src/ in their own process. */
const uncounted = counts ? ["test/outside/**", "test/threads/**"] : [];

/** Each project's modules are made fresh before its first test: by a fast build, or by one of what is shipped. */
const freshFast = ["test/setup/fast.mjs"];
const freshShipped = ["test/setup/shipped.mjs"];
const minute = 60_000;
/** What a test or a hook may take on a machine that is busy, and stalls for seconds: only what hangs takes longer. */
const patient = { testTimeout: 8 * minute, hookTimeout: 8 * minute };

export default defineConfig({
  test: {
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      // `npm test` runs the first three.
      {
        test: {
          name: "unit",
          globalSetup: freshFast,
          include: ["test/**/*.test.ts"],
          exclude: [...elsewhere, ...uncounted, "**/node_modules/**"],
          ...patient,
          setupFiles: ["test/features.ts", ...(counts ? ["test/blocks.ts"] : [])],
        },
      },
      {
        test: {
          name: "shipped",
          globalSetup: freshShipped,
          setupFiles: ["test/features.ts"],
          include: shipped,
          ...patient,
        },
      },
      {
        test: {
          name: "types",
          // tsc reads src/generated/.
          globalSetup: freshFast,
          include: [],
          typecheck: {
            enabled: true,
            include: ["test/**/*.test-d.ts"],
            // These alone: `npm run lint` reports errors anywhere else.
            tsconfig: "tsconfig.types.json",
            ignoreSourceErrors: true,
          },
        },
      },
      // The search builds its own modules.
      { test: { name: "sim", include: searches, ...patient } },
      { test: { name: "bench", globalSetup: freshShipped, include: benchmarks, ...patient } },
      {
        test: {
          name: "wider",
          setupFiles: ["test/features.ts"],
          globalSetup: freshShipped,
          include: wider,
          ...patient,
        },
      },
      {
        test: {
          name: "debug-heaps",
          env: { DEBUG_HEAPS: "1" },
          setupFiles: ["test/features.ts", "test/debug-heaps.ts"],
          globalSetup: freshShipped,
          include: ["test/contract/*.test.ts"],
          // Faults in each word that is not 0, of which red zones are full; and what is about no build.
          exclude: ["test/contract/{check,debug,sampling,abi,errors,inspector-palette,queue-interleavings}.test.ts"],
          ...patient,
        },
      },
      {
        test: {
          name: "browser",
          globalSetup: freshShipped,
          include: ["test/browser/*.test.ts"],
          ...patient,
        },
      },
      {
        test: {
          name: "runtimes",
          globalSetup: freshShipped,
          include: ["test/runtimes/*.test.ts"],
          ...patient,
        },
      },
    ],
    coverage: { provider: "v8", include: ["src/**/*.ts"], exclude: ["src/generated/**"] },
  },
});
