/** The example as its users meet it: a process with arguments, two streams, an exit code, and files. */
import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createHeap } from "wasm-mempool";
import { faults } from "wasm-mempool/testing";
import { MirroredStore } from "../../examples/raid1/array.ts";
import { Disk } from "../../examples/raid1/disk.ts";
import { UsageError, parseOptions } from "../../examples/raid1/options.ts";
import type { Result } from "../../examples/raid1/report.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** The example in one file, which starts faster: `.ci/run` starts it as users do. */
const command = ["build/raid1/main.mjs"];

const BYTES = 8 * 1024 * 1024 + 12345;
const BLOCKS = 129;
/** Small enough for 8 MB to be a load. */
const SMALL = ["--heap", "1M", "--min-nr", "4"];

let fixtures: string;
let input: string;
let inputSha256: string;
/** Enough for the resync to end long before the copy does. */
let large: string;
const LARGE_BLOCKS = 513;
/** The TMPDIR of the process under test. */
let scratch: string;

beforeAll(() => {
  buildSync({
    absWorkingDir: root,
    entryPoints: ["examples/raid1/main.ts"],
    outfile: command[0]!,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
  });
  fixtures = mkdtempSync(join(tmpdir(), "raid1-test-"));
  scratch = mkdtempSync(join(fixtures, "tmp-"));
  input = join(fixtures, "input");
  const content = randomBytes(BYTES);
  writeFileSync(input, content);
  inputSha256 = sha256(content);
  large = join(fixtures, "large");
  writeFileSync(large, randomBytes(LARGE_BLOCKS * 65536 - 7));
});
afterAll(() => {
  const leftovers = readdirSync(scratch).filter((name) => name.startsWith("wasm-mempool"));
  rmSync(fixtures, { recursive: true });
  expect(leftovers).toEqual([]);
});

const sha256 = (content: Buffer): string => createHash("sha256").update(content).digest("hex");

const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  NO_COLOR: undefined,
  // Node takes CI for a sign that no terminal shows the output.
  CI: undefined,
  FORCE_COLOR: undefined,
  TMPDIR: scratch,
  TEMP: scratch,
  TMP: scratch,
});

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

function execute(file: string, args: string[], env: NodeJS.ProcessEnv = {}) {
  return new Promise<Outcome>((resolve, reject) => {
    const child = spawn(file, args, { cwd: root, env: { ...environment(), ...env } });
    const outcome: Outcome = { code: null, stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (outcome.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (outcome.stderr += text));
    child.on("error", reject).on("close", (code) => resolve({ ...outcome, code }));
  });
}

function raid1(args: string[]): Promise<Outcome> {
  return execute(process.execPath, [...command, ...args]);
}

async function json(args: string[]): Promise<Result> {
  const { code, stdout, stderr } = await raid1([...args, "--json"]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  return JSON.parse(stdout) as Result;
}

/** One line for a person, nothing for a program, and no stack trace. */
async function refused(args: string[], code: number, ...parts: string[]): Promise<void> {
  const outcome = await raid1(args);
  expect(outcome.stdout).toBe("");
  expect(outcome.stderr.trimEnd().split("\n")).toHaveLength(code === 2 ? 2 : 1);
  for (const part of ["raid1: ", ...parts]) expect(outcome.stderr).toContain(part);
  expect(outcome.code).toBe(code);
}

describe.concurrent("the load", () => {
  let result: Result;
  beforeAll(async () => void (result = await json([...SMALL, input])));

  it("mirrors every byte although memory runs out", () => {
    expect(result.input).toEqual({ path: input, bytes: BYTES, blocks: BLOCKS, blockSize: 65536 });
    expect(result.failure).toBeNull();
    expect(result.directory).toBeNull();

    const run = result.withReserve;
    expect(run).toMatchObject({ minNr: 4, stalled: false, blocks: BLOCKS, bytes: BYTES, bytesLost: 0, problems: [] });
    expect(run).toMatchObject({ heapBytes: 1024 * 1024, sha256: inputSha256, rebuilt: { blocks: BLOCKS } });
    const resynced = run.resynced!.blocks;
    expect(run.requests).toBe(2 * BLOCKS + resynced);
    // One write more for each block than without the third mirror: at once, or by the resync.
    expect(run.blockWrites).toBeGreaterThanOrEqual(BLOCKS + 64 + resynced);
    expect(run.blockWrites).toBeLessThan(3 * BLOCKS);
    expect(run.waited).toBeGreaterThan(0);
    expect(run.cacheBlocks).toBeGreaterThan(0);

    expect(run.disks.map(({ name, state }) => [name, state])).toEqual([
      ["mirror-0", "verified"],
      ["mirror-1", "failed"],
      ["mirror-2", "dropped"],
      ["mirror-1-replacement", "verified"],
    ]);
    expect(run.disks[0]!.sha256).toBe(inputSha256);
    expect(run.disks[1]!.error).toMatch(/EBADF|EPERM/);
    expect(run.disks[1]!.failedAtByte).toBeGreaterThan(0);
  });

  it("reports truly that the reserve served", () => {
    const { pools, waited, requests } = result.withReserve;
    expect(pools.map(({ name, minNr }) => [name, minNr])).toEqual([
      ["r1bio", 4],
      ["bio", 8],
      ["buffer", 4],
    ]);
    for (const pool of pools) {
      expect(pool.outstanding).toBe(0);
      expect(pool.currNr).toBe(pool.minNr);
      expect(pool.slabHits + pool.reserveHits).toBe(pool.allocs);
      expect(pool.frees).toBe(pool.allocs);
    }
    const [r1bio, bio, buffer] = pools;
    // offsetof(bios), two mirrors, two replacements
    expect(r1bio!.elementSize).toBe(28 + 4 * 4);
    expect(r1bio!.epochs).toBe(1);
    expect(bio!.allocs).toBeGreaterThan(requests);
    expect(buffer!.allocs).toBeGreaterThanOrEqual(requests);
    expect(buffer!.reserveHits).toBeGreaterThan(BLOCKS);
    expect(buffer!.lowestCurrNr).toBe(0);
    expect(buffer!.waited).toBeGreaterThan(0);
    expect(pools.reduce((sum, pool) => sum + pool.waited, 0)).toBe(waited);
  });

  it("stalls without a reserve", () => {
    const run = result.withoutReserve!;
    expect(run).toMatchObject({ minNr: 0, stalled: true, rebuilt: null, sha256: null, problems: [] });
    expect(run.blocks).toBeLessThan(BLOCKS);
    expect(run.bytesLost).toBe(BYTES - run.bytes);
    expect(run.bytesLost).toBeGreaterThan(0);
    for (const pool of run.pools) expect(pool).toMatchObject({ minNr: 0, reserveHits: 0, outstanding: 0 });
    expect(run.disks.map(({ state }) => state)).toEqual(["incomplete", "incomplete", "spare"]);
    expect(run.reshapes).toEqual([]);
  });

  it("fails if the caller asked for no reserve", async () => {
    const { code, stdout, stderr } = await raid1(["--heap", "1M", "--min-nr", "0", "--json", input]);
    expect(code).toBe(1);
    expect(stderr).toContain("minNr 0");
    expect(JSON.parse(stdout)).toMatchObject({ withReserve: { stalled: true }, withoutReserve: null });
  });

  it("needs a reserve of only one request", async () => {
    const { withReserve } = await json(["--heap", "1M", "--min-nr", "1", input]);
    expect(withReserve).toMatchObject({ stalled: false, bytes: BYTES });
  });

  it("does not stall where there is memory for all", async () => {
    const { withReserve, withoutReserve } = await json(["--heap", "64M", input]);
    expect(withReserve).toMatchObject({ stalled: false, waited: 0 });
    expect(withoutReserve).toMatchObject({ stalled: false, bytes: BYTES });
    for (const pool of withReserve.pools) expect(pool.reserveHits).toBe(0);
  });

  it("writes as many mirrors as requested", async () => {
    const out = join(fixtures, "out", "deeper");
    const { directory, withReserve } = await json([...SMALL, "--disks", "3", "--out", out, input]);
    expect(directory).toBe(out);
    const states = withReserve.disks.map(({ state }) => state);
    expect(states).toEqual(["verified", "failed", "verified", "dropped", "verified"]);
    expect(withReserve.reshapes.map(({ from, to }) => [from, to])).toEqual([
      [3, 4],
      [4, 3],
    ]);
    expect(withReserve.pools[0]!.elementSize).toBe(28 + 6 * 4);
    for (const name of ["mirror-0.img", "mirror-1-replacement.img", "mirror-2.img"]) {
      expect(sha256(readFileSync(join(out, name)))).toBe(inputSha256);
    }
    expect(readdirSync(out)).toHaveLength(5);
  });
});

describe.concurrent("a reshape", () => {
  it("stops no request", async () => {
    const out = join(fixtures, "reshaped");
    const { withReserve: run } = await json([...SMALL, "--out", out, large]);
    expect(run).toMatchObject({ stalled: false, blocks: LARGE_BLOCKS, problems: [] });
    expect(run.reshapes).toMatchObject([
      { from: 2, to: 3, epochs: 2, error: null },
      { from: 3, to: 2, epochs: 2, error: null },
    ]);
    for (const change of run.reshapes) {
      if (change.error !== null) throw new Error(change.error);
      expect(change.inFlight).toBeGreaterThan(0);
      expect(change.begun).toBeGreaterThan(0);
      expect(change.completed).toBeGreaterThanOrEqual(change.inFlight);
      expect(change.milliseconds).toBeGreaterThan(0);
    }
    expect(run.pools.map(({ epochs, minNr, currNr }) => [epochs, minNr, currNr])).toEqual([
      [1, 4, 4],
      [1, 8, 8],
      [1, 4, 4],
    ]);

    // The resync's writes, the immediate ones, and those in flight when the mirror was dropped leave no gap.
    const { blocks, copied } = run.resynced!;
    expect(blocks).toBeGreaterThan(0);
    expect(blocks).toBeLessThan(LARGE_BLOCKS / 2);
    expect(copied).toBeGreaterThan(0);
    const dropped = run.disks.find(({ name }) => name === "mirror-2")!;
    expect(dropped.state).toBe("dropped");
    expect(dropped.heldBytes).toBeGreaterThan((LARGE_BLOCKS / 2) * 65536);
    expect(dropped.heldBytes).toBeLessThan(LARGE_BLOCKS * 65536 - 7);
    const held = readFileSync(join(out, "mirror-2.img"));
    expect(held.equals(readFileSync(large).subarray(0, dropped.heldBytes))).toBe(true);
  });

  it("can be left out", async () => {
    const { withReserve: run } = await json([...SMALL, "--no-reshape", input]);
    expect(run).toMatchObject({ reshapes: [], resynced: null, requests: 2 * BLOCKS });
    expect(run.disks.map(({ name }) => name)).toEqual(["mirror-0", "mirror-1", "mirror-1-replacement"]);
  });

  it.each([1, 5, 63, 64, 65])("of an array of %j blocks keeps every byte in place", async (blocks) => {
    const small = join(fixtures, `blocks-${blocks}`);
    writeFileSync(small, randomBytes(blocks * 65536 - 1));
    const { withReserve: run } = await json([...SMALL, small]);
    expect(run.reshapes.map(({ from, to, error }) => [from, to, error])).toEqual([
      [2, 3, null],
      [3, 2, null],
    ]);
    expect(run.disks.find(({ name }) => name === "mirror-2")!.state).toBe("dropped");
    expect(run.pools[0]!.epochs).toBe(1);
  });

  it("for which memory is short changes nothing", async () => {
    // The reserves take nearly everything, and the neighbour the rest.
    const short = ["--heap", "16M", "--min-nr", "230", "--disks", "5", input];
    const { withReserve: run } = await json(short);
    expect(run.reshapes).toEqual([{ from: 5, to: 6, error: expect.stringContaining("no memory for pool") }]);
    expect(run).toMatchObject({ stalled: false, bytes: BYTES, resynced: null, problems: [] });
    expect(run.disks.map(({ state }) => state)).toEqual([
      "verified",
      "failed",
      "verified",
      "verified",
      "verified",
      "spare",
      "verified",
    ]);
    expect(run.pools.map(({ name, minNr, currNr, epochs }) => [name, minNr, currNr, epochs])).toEqual([
      ["r1bio", 230, 230, 1],
      ["bio", 5 * 230, 5 * 230, 1],
      ["buffer", 230, 230, 1],
    ]);

    const { code, stdout } = await raid1(short);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {2}stays at 5 mirrors +ERR_NO_MEMORY: reshape: no memory for pool "r1bio" [^;]*$/m);
    expect(stdout).toMatch(/^ {2}mirror-5 +a spare, never used$/m);
  });

  describe("of a store", () => {
    const BLOCK = 4096;
    const open = async (mirrors: number, minNr = 4) => {
      const directory = mkdtempSync(join(fixtures, "store-"));
      const disk = (name: string): Promise<Disk> => {
        const path = join(directory, name);
        writeFileSync(path, "");
        return Disk.open(path);
      };
      const disks = await Promise.all(Array.from({ length: mirrors }, (_, i) => disk(`${i}`)));
      const source = await disk("source");
      writeFileSync(source.path, randomBytes(64 * BLOCK));
      const heap = createHeap({ initial: 2 ** 20, maximum: 2 ** 20 });
      const store = new MirroredStore(heap, { mirrors: disks, blockSize: BLOCK, size: 64 * BLOCK, minNr });
      const close = async (): Promise<void> => {
        await store.close();
        expect(heap.check()).toEqual([]);
        await Promise.all([...disks, source].map((each) => each.close()));
      };
      const content = (each: Disk, block: number): Buffer =>
        readFileSync(each.path).subarray(block * BLOCK, (block + 1) * BLOCK);
      return { heap, store, disks, source, disk, content, close };
    };

    it("lets each request write to the mirrors it began with", async () => {
      const { store, disks, source, disk, content, close } = await open(2);
      const third = await disk("2");
      disks.push(third);

      const before = store.write(0, source);
      const growing = store.reshape(3);
      store.replace(2, third);
      expect(store.raidDisks).toBe(3);
      const between = store.write(1, source);
      expect(await growing).toMatchObject({ from: 2, to: 3, inFlight: 1, epochs: 2, begun: 1, completed: 1 });
      await Promise.all([before, between]);
      expect(store.blockWrites).toBe(2 + 3);

      const last = store.write(2, source);
      const shrinking = store.reshape(2);
      const after = store.write(3, source);
      expect(await shrinking).toMatchObject({ from: 3, to: 2, inFlight: 1, epochs: 2 });
      await Promise.all([last, after]);
      expect(store.blockWrites).toBe(5 + 3 + 2);

      for (const block of [0, 1, 2, 3]) expect(content(disks[1]!, block)).toEqual(content(source, block));
      expect(content(third, 0)).toEqual(Buffer.alloc(BLOCK));
      for (const block of [1, 2]) expect(content(third, block)).toEqual(content(source, block));
      expect(content(third, 3)).toHaveLength(0);
      expect(store.stats()[0]).toMatchObject({ epochs: 1, outstanding: 0 });
      await close();
    });

    it("finds a replacement in its new slot", async () => {
      const { store, disks, source, disk, content, close } = await open(3);
      disks.push(await disk("replacement"));
      await disks[1]!.unplug();
      disks[1]!.fail(new Error("broken"), 0);
      store.replace(1, disks[3]!);
      await store.write(0, source);
      const rebuilding = store.rebuild(0, 1);
      await Promise.all([store.reshape(2), rebuilding, store.rebuild(0, 1), store.write(1, source)]);
      for (const block of [0, 1]) expect(content(disks[3]!, block)).toEqual(content(source, block));
      await close();
    });

    it("without memory leaves it as it was", async () => {
      const { heap, store, disks, source, disk, close } = await open(2);
      disks.push(await disk("2"));
      const noMemory = { code: "ERR_NO_MEMORY" };
      const sizes = () => store.stats().map(({ elementSize, minNr, epochs }) => [elementSize, minNr, epochs]);
      const was = sizes();
      const writing = store.write(0, source);

      faults(heap, { refuse: true });
      await expect(store.reshape(3)).rejects.toMatchObject(noMemory);
      faults(heap);
      expect(store.raidDisks).toBe(2);
      expect(sizes()).toEqual(was);
      await Promise.all([writing, store.write(1, source)]);
      expect(store.blockWrites).toBe(2 * 2);

      await store.reshape(3);
      store.replace(2, disks[2]!);
      faults(heap, { refuse: true });
      await expect(store.reshape(2)).rejects.toMatchObject(noMemory);
      faults(heap);
      expect(store.raidDisks).toBe(3);
      await store.write(2, source);
      expect(store.blockWrites).toBe(2 * 2 + 3);
      await store.reshape(2);
      expect(sizes()).toEqual(was);
      await close();
    });

    it("refuses bad arguments", async () => {
      const { store, disks, source, close } = await open(2);
      for (const number of [0, -1, 1.5, NaN]) await expect(store.reshape(number)).rejects.toThrow(RangeError);
      expect(await store.reshape(2)).toMatchObject({ from: 2, to: 2, inFlight: 0, epochs: 1 });
      const writing = store.write(0, source);
      const growing = store.reshape(3);
      await expect(store.reshape(2)).rejects.toThrow("being reshaped");
      await Promise.all([writing, growing]);
      disks[0]!.fail(new Error("broken"), 0);
      await expect(store.reshape(1)).rejects.toThrow("none would work");
      expect(store.raidDisks).toBe(3);
      await close();
    });
  });
});

describe.concurrent("the output", () => {
  it("is help", async () => {
    const { code, stdout, stderr } = await raid1(["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const option of [
      "--disks N",
      "--min-nr N",
      "--heap BYTES",
      "--no-reshape",
      "--reshape",
      "--out DIR",
      "--keep",
      "--json",
      "--help",
    ]) {
      expect(stdout).toContain(option);
    }
  });

  it("is a summary without colours where there is no terminal", async () => {
    const { code, stdout, stderr } = await raid1([...SMALL, input]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).not.toContain("\x1b");
    for (const part of [input, "8,400,953 bytes", "129 blocks", "from the reserve", "lowest curr_nr", "verified"]) {
      expect(stdout).toContain(part);
    }
    expect(stdout).toMatch(
      /grew to 3 mirrors +[^]* resynced +\d+ blocks[^]*shrank to 2 mirrors +[^]*no freeze +\d+ requests/,
    );
    expect(stdout).toMatch(/^ {2}no freeze +.* r1bios of 2 sizes; at the end, of 1$/m);
    expect(stdout).toMatch(/^ {2}mirror-2 +dropped with [\d,]+ bytes, verified, sha256 [0-9a-f]{16}…$/m);
    expect(stdout).toMatch(/Without a reserve[^]*stalled +after \d+ blocks[^]*never made it +[\d,]+ bytes/);
  });

  const script = spawnSync("script", ["--version"], { encoding: "utf8" }).stdout ?? "";
  it.runIf(script.includes("util-linux"))("is a progress bar in a terminal", async () => {
    const line = [process.execPath, ...command, ...SMALL, input].map((word) => `'${word}'`).join(" ");
    const terminal = async (env: NodeJS.ProcessEnv): Promise<string> => {
      const args = ["-qec", `stty cols 120; ${line}`, "/dev/null"];
      return (await execute("script", args, { TERM: "xterm-256color", ...env })).stdout;
    };
    const [coloured, plain] = await Promise.all([terminal({}), terminal({ NO_COLOR: "1" })]);
    expect(coloured).toMatch(/\rcopying +.*█.* MB {2}\d+ MB\/s {2}\d+ in flight/);
    expect(coloured).toContain("\x1b[1m");
    expect(plain).toMatch(/\rcopying +█*░* +\d+%/);
    // the rest erases the end of the line
    expect(plain.replaceAll("\x1b[K", "")).not.toContain("\x1b");
  });
});

describe.concurrent("one line reports mistakes", () => {
  it("on the command line", async () => {
    await refused(["--disks", "9"], 2, '--disks must be a whole number from 2 to 8, but is "9"', "Try --help.");
    await refused(["--unknown"], 2, "Unknown option '--unknown'", "Try --help.");
  });

  it.each([
    [["--disks", "1"], "--disks", '"1"'],
    [["--disks", "2.5"], "--disks", '"2.5"'],
    [["--disks", "-2"], "--disks", '"-2"'],
    [["--disks", ""], "--disks", '""'],
    [["--disks"], "--disks", "missing"],
    [["--min-nr", "many"], "--min-nr", '"many"'],
    [["--min-nr", "1025"], "--min-nr", '"1025"'],
    [["--heap", "4X"], "--heap", '"4X"'],
    [["--heap", "1"], "--heap", '"1"'],
    [["--heap", "2G"], "--heap", '"2G"'],
    [["--json=yes"], "--json"],
    [["--reshape=3"], "--reshape"],
    [["--no-reshape=yes"], "--no-reshape"],
    [["--reshape", "--no-reshape"], "--reshape and --no-reshape"],
    [["a", "b"], "one input", '"a", "b"'],
  ] as [string[], ...string[]][])("on the command line: %j", (args, ...parts) => {
    for (const part of parts) expect(() => parseOptions(args)).toThrow(part);
    expect(() => parseOptions(args)).toThrow(UsageError);
  });

  it("in the input: missing, a directory, empty, a device", async () => {
    const missing = join(fixtures, "missing");
    const empty = join(fixtures, "empty");
    writeFileSync(empty, "");
    await Promise.all([
      refused([missing], 1, JSON.stringify(missing), "ENOENT"),
      refused([fixtures], 1, JSON.stringify(fixtures), "directory"),
      refused([empty], 1, JSON.stringify(empty), "empty"),
      existsSync("/dev/null") && refused(["/dev/null"], 1, '"/dev/null"', "not a regular file"),
    ]);
  });

  it.skipIf(process.getuid?.() === 0)("in the input: not readable", async () => {
    const secret = join(fixtures, "secret");
    writeFileSync(secret, "secret", { mode: 0 });
    await refused([secret], 1, JSON.stringify(secret), "EACCES");
  });

  it("in the heap: too small for the reserves", async () => {
    await refused(["--heap", "1M", "--min-nr", "64", input], 1, "--heap 1048576", "--min-nr 64");
  });

  it("in --out: a file, or the directory of the input", async () => {
    await refused(["--out", input, input], 1, "--out", JSON.stringify(input));
    const out = join(fixtures, "self");
    mkdirSync(out);
    const self = join(out, "mirror-0.img");
    writeFileSync(self, "precious");
    await refused(["--out", out, self], 2, JSON.stringify(self), JSON.stringify(out));
    expect(readFileSync(self, "utf8")).toBe("precious");
    const extra = join(out, "mirror-2.img");
    writeFileSync(extra, "precious");
    await refused(["--out", out, extra], 2, JSON.stringify(extra), JSON.stringify(out));
  });

  it.runIf(existsSync("/dev/full")).each([[[0, 1]], [[0]], [[1]]])("a full disk under mirrors %j", async (full) => {
    const out = mkdtempSync(join(fixtures, "full-"));
    for (const i of full) symlinkSync("/dev/full", join(out, `mirror-${i}.img`));
    await refused([...SMALL, "--out", out, input], 1, join(out, `mirror-${full[0]}.img`), "ENOSPC");
    expect(readdirSync(out)).toEqual([]);
    expect(existsSync("/dev/full")).toBe(true);
  });

  it.each(["SIGINT", "SIGTERM"] as const)("%s cleans up", async (signal) => {
    const out = join(fixtures, `stopped-${signal}`);
    // One request at a time, and the signal as soon as the mirrors are there: it comes long before the end.
    const hook = `import fs from "node:fs/promises";
      import { syncBuiltinESMExports } from "node:module";
      const { open } = fs;
      fs.open = (path, ...more) =>
        open(path, ...more).finally(() => String(path).endsWith("mirror-1.img") && process.kill(process.pid, "${signal}"));
      syncBuiltinESMExports();`;
    const { code, stdout } = await execute(process.execPath, [
      `--import=data:text/javascript,${encodeURIComponent(hook)}`,
      ...command,
      "--heap",
      "1M",
      "--min-nr",
      "1",
      "--out",
      out,
    ]);
    expect(code).toBe(signal === "SIGINT" ? 130 : 143);
    expect(stdout).toBe("");
    expect(readdirSync(out)).toEqual([]);
  });
});
