/** SQLite as it is released, over the C library's allocator and over this one: the same answers. */
import { existsSync, statSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  archives,
  at,
  build,
  emcc,
  emscriptenMissing,
  out,
  runEmscripten,
  toolchains,
  type Command,
} from "./toolchain.ts";
import { run } from "./wasi.ts";

/** .ci/run puts it there. */
const sources = at("../../build/sqlite");
const sourceMissing = !existsSync(`${sources}/sqlite3.c`) && !process.env["CI"];
const options = [
  "-DSQLITE_THREADSAFE=0",
  "-DSQLITE_OMIT_LOAD_EXTENSION",
  "-DSQLITE_OS_OTHER",
  "-DSQLITE_TEMP_STORE=3",
  "-DSQLITE_DEFAULT_MEMSTATUS=0",
  "-DSQLITE_OMIT_WAL",
  "-I",
  sources,
];

/** SQLite compiled, which takes half a minute. */
function compiled(name: string, command: Command): string {
  const object = `${out}/${name}`;
  const isFresh = existsSync(object) && statSync(object).mtimeMs > statSync(`${sources}/sqlite3.c`).mtimeMs;
  return isFresh ? object : build(name, command, ...options, "-c", `${sources}/sqlite3.c`);
}

/** The answers of one database by its seed; these are of 1. */
const answers = `20000|200010000|3543997|1196628.522
13334|133346667|13281|21
6666|66663333|6666
1367|1362586|13539821
item 1|1982
item 7|1441
item 9|1438
item 3|1437
item 6|1437
4045 11483 9830 1360 9167 3656 5336 9188
41667916675000
ok
8033
`;
const LINES = answers.split("\n").length - 1;

describe("SQLite", () => {
  const { missing, c, link } = toolchains[0]!;
  test.skipIf(sourceMissing || missing)(
    "answers as it does over dlmalloc",
    () => {
      const program = [...options, "database.c", compiled("sqlite3.o", c)];
      const own = run(build("database-own.wasm", c, ...program));
      const ours = run(build("database.wasm", c, ...program, ...link(archives.malloc)));
      expect([own.output, own.end]).toEqual([answers, 0]);
      expect([ours.output, ours.end]).toEqual([answers, 0]);
      console.log(
        [own, ours]
          .map(({ bytes, milliseconds }) => `${bytes / 2 ** 20} MiB, ${milliseconds.toFixed(0)} ms`)
          .join("; "),
      );
      expect(ours.bytes).toBeLessThan(1.6 * own.bytes);
    },
    600_000,
  );

  test.skipIf(sourceMissing || emscriptenMissing)(
    "with a database in each of four threads answers as with one",
    () => {
      const threads = [...emcc, "-pthread"] as const;
      const object = compiled("sqlite3-threads.o", ["emcc", "-O2", "-pthread"]);
      const more = ["-sPROXY_TO_PTHREAD", "-sPTHREAD_POOL_SIZE=6", "-sINITIAL_MEMORY=128MB"];
      const path = build(
        "databases.js",
        threads,
        ...options,
        "-DTHREADS",
        "database.c",
        object,
        archives.sharedMalloc,
        ...more,
      );
      const lines = runEmscripten(path).trimEnd().split("\n");
      expect(`${lines.slice(0, LINES).join("\n")}\n`).toBe(answers);
      expect(lines.length).toBe(4 * LINES);
      expect(lines.filter((line) => line === "ok").length).toBe(4);
    },
    600_000,
  );
});
