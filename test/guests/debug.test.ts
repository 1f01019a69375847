/** Debug heaps in C: a define and another archive, and a faulty program hears where it is wrong. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { archives, build, programs, toolchains } from "./toolchain.ts";
import { run } from "./wasi.ts";

const source = readFileSync(`${programs}/faulty.c`, "utf8").split("\n");
/** The place of the line with a comment. */
const at = (comment: string): string => `faulty.c:${source.findIndex((line) => line.includes(`/* ${comment} */`)) + 1}`;

describe.each(toolchains)("$name", { timeout: 600_000 }, ({ name, missing, c, link }) => {
  const short = name.slice(0, 3);

  test.skipIf(missing)("the debug archive tells what is damaged and what is leaked, with file and line", () => {
    const path = build(`${short}-faulty-debug.wasm`, c, "faulty.c", "-DMEMPOOL_DEBUG", ...link(archives.debug));
    const { output, end } = run(path);
    expect([output, end]).toEqual([
      `free: 0
overrun: 4 bytes at 24 of 24, byte 07
  allocated at ${at("overrun: allocated")}
write after free: 1 bytes at 3 of 24, byte 09
  allocated at ${at("written: allocated")}
  freed at ${at("written: freed")}
second free: -2
leak: 24 bytes
  allocated at ${at("leaked: allocated")}
leak: 24 bytes
  allocated at ${at("leaked: allocated")}
`,
      0,
    ]);
  });

  test.skipIf(missing)("with a clock it tells for how long what is leaked has been held", () => {
    const defines = ["-DMEMPOOL_DEBUG", "-DMEMPOOL_CLOCK=tick()"];
    const path = build(`${short}-faulty-clock.wasm`, c, "faulty.c", ...defines, ...link(archives.debug));
    const { output, end } = run(path);
    expect([output.match(/^leak.*$/gm), end]).toEqual([Array(2).fill("leak: 24 bytes, held for 3200 ms"), 0]);
  });

  test.skipIf(missing)("the same source links the other archive, which tells of the second free alone", () => {
    const path = build(`${short}-faulty.wasm`, c, "faulty.c", ...link(archives.pools));
    const { output, end } = run(path);
    expect([output, end]).toEqual(["free: 0\nsecond free: -2\n", 0]);
  });
});
