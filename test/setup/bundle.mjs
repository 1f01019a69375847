/** src/, with all its parts, as one module, for the worker threads of tests: Node cannot import it as it is. */
import { build } from "esbuild";
import { root } from "../../scripts/compile.mjs";

export const bundle = () =>
  build({
    absWorkingDir: root,
    entryPoints: ["test/setup/library.ts"],
    outfile: "build/library.mjs",
    bundle: true,
    format: "esm",
    sourcemap: "inline",
  });
