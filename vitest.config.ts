import { defineConfig } from "vitest/config";

/** In a coverage run, the folder that tests leave their counts in: see scripts/coverage.mjs. */
const counts = process.env["WASM_COVERAGE"];
/** Those that need more on the machine than Node, or more time: `npm run test:browser`, `test:runtimes`, `test:sim`, `test:bench`. */
const searches = ["test/sim/cases.test.ts", "test/sim/mutants.test.ts"];
const benchmarks = ["test/bench/**", "test/counts/suites.test.ts"];
const elsewhere = ["test/browser/**", "test/runtimes/**", ...searches, ...benchmarks];
/** Those of what is built and packed, which run no code of ours in their own process. */
const ofThePackage = ["counts", "golden", "packaging", "bundlers", "raid1", "sim", "threads"].map(
  (name) => `test/${name}/**`,
);

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          // What `npm test` runs.
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [...elsewhere, ...(counts ? ofThePackage : []), "**/node_modules/**"],
          // Errors anywhere else are for `npm run lint` to tell.
          typecheck: {
            enabled: !counts,
            include: ["test/**/*.test-d.ts"],
            tsconfig: "tsconfig.json",
            ignoreSourceErrors: true,
          },
          testTimeout: 60_000,
          hookTimeout: 60_000,
          ...(counts ? { setupFiles: ["test/blocks.ts"] } : {}),
        },
      },
      { test: { name: "sim", include: searches, testTimeout: 600_000, hookTimeout: 120_000 } },
      {
        test: {
          name: "bench",
          include: benchmarks.map((path) => path.replace(/\*\*$/, "*.test.ts")),
          testTimeout: 300_000,
        },
      },
      { test: { name: "browser", include: ["test/browser/*.test.ts"], testTimeout: 120_000 } },
      { test: { name: "runtimes", include: ["test/runtimes/*.test.ts"], testTimeout: 60_000 } },
    ],
    coverage: { provider: "v8", include: ["src/**/*.ts"], exclude: ["src/generated/**"] },
  },
});
