// Workloads that keep objects, in JavaScript's heap and in ours: throughput, the slowest frames, garbage, memory.
//
//   node bench/heap/suite.mjs [--quick] [--json] [--only table,...] [--seed n]
import { fork } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { median, quantile, randomFrom } from "../core/measure.mjs";
import { names } from "./common.mjs";

const files = ["churn", "frames", "ast", "queues", "lru"];
const OURS = names.views;
const MESSAGES = "messages-256";
/** Rounds there are at most; how many there is time for may be fewer. */
const ROUNDS = 5;
const LEAST = 2;
/** In a quick run, so much of the work, and without these. */
const QUICK = 0.25;
const left = new Set([names.literals, names.typed, names.bulk, names.map]);
const STUCK_MS = 120_000;

async function plan({ quick, only }) {
  const tables = [];
  for (const file of files) {
    for (const table of (await import(`./workloads/${file}.mjs`)).tables) {
      if (only ? !only.includes(table.name) : quick && !table.quick) continue;
      const sides = quick ? table.sides.filter((side) => !left.has(side)) : table.sides;
      const [warm, batches] = [table.warm, table.batches].map((n) => Math.ceil(n * (quick ? QUICK : 1)));
      tables.push(Object.assign({}, table, { file, sides, warm, batches }));
    }
  }
  return tables;
}

/** What a child process answers. */
function inChild(module, task, execArgv, onPart) {
  return new Promise((resolve, reject) => {
    const { NODE_OPTIONS: _, ...env } = process.env;
    const child = fork(module, [JSON.stringify(task)], { execArgv, env, serialization: "advanced" });
    const stuck = setTimeout(() => child.kill("SIGKILL"), STUCK_MS);
    let answer;
    child.on("message", (message) => {
      if (message.part === undefined) answer = message;
      else onPart?.(message.part);
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      clearTimeout(stuck);
      if (answer?.result) resolve(answer.result);
      else reject(new Error(answer?.error ?? `ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

const shuffled = (list, random) =>
  list
    .map((item) => [random(), item])
    .toSorted(([a], [b]) => a - b)
    .map(([, item]) => item);

/** Every side of every table in processes of their own, and one with nothing in it for each file: one round. */
function tasksOf(tables) {
  const sides = tables.flatMap((table) => table.sides.map((side) => ({ table, side })));
  const used = files.filter((file) => tables.some((table) => table.file === file));
  return [...sides, ...used.map((file) => ({ file }))];
}

async function collect(tables, { quick, random, progress }, seconds) {
  const results = new Map(tables.map((table) => [table, new Map(table.sides.map((side) => [side, []]))]));
  const empty = new Map(files.map((file) => [file, []]));
  const failures = [];
  const begin = performance.now();
  let rounds = 0;
  const most = quick ? LEAST : ROUNDS;
  for (; rounds < most; rounds++) {
    const spent = (performance.now() - begin) / 1000;
    // Whole rounds only, as many as there is time for.
    if (rounds >= (quick ? 1 : LEAST) && spent + spent / rounds > seconds) break;
    const tasks = shuffled(tasksOf(tables), random);
    for (const [k, { table, side, file = table.file }] of tasks.entries()) {
      progress((rounds + k / tasks.length) / most, table ? `${table.name}: ${side}` : "an empty process");
      const { params, warm, batches, perBatch } = table ?? {};
      try {
        const task = { file, side, params, warm, batches, perBatch };
        const result = await inChild(new URL("child.mjs", import.meta.url), task, []);
        if (table) results.get(table).get(side).push(result);
        else empty.get(file).push(result);
      } catch (error) {
        if (!table) throw error;
        failures.push({ table, side, why: error.message.split("\n")[0] });
      }
    }
  }
  return { results, empty, failures, rounds };
}

// ---------------------------------------------------------------------------------------------------------------------
// Statistics

/** One of the runs at random, and of each some of its pieces at random: what might as well have been measured. */
function resample(runs, key, random) {
  const any = (list) => list[Math.floor(random() * list.length)];
  const one = () => {
    const run = any(runs);
    if (key !== "ns") return run[key];
    const pieces = run.pieces.map(() => any(run.pieces));
    return pieces.reduce((sum, piece) => sum + piece, 0) / pieces.length;
  };
  return median(runs.map(one));
}

/** How many times as much of something `theirs` takes as `ours`: the ratio of medians, with a 95 % interval. */
function ratioOf(theirs, ours, key, random) {
  const of = (runs) => median(runs.map((run) => run[key]));
  const all = Array.from({ length: 1000 }, () => resample(theirs, key, random) / resample(ours, key, random));
  return { ratio: of(theirs) / of(ours), ci: [quantile(all, 0.025), quantile(all, 0.975)] };
}

const goalOf = (text, { ratio, ci }, goal) => ({
  text,
  value: ratio,
  ci,
  goal,
  verdict: ci[0] >= goal ? "met" : ci[1] < goal ? "missed" : "cannot tell",
});

const below = (text, value, goal) => ({ text, value, goal, verdict: value <= goal ? "met" : "missed" });

/** The goals of those tables that have any. */
function goalsOf(name, rows, of, random) {
  const ours = rows.find(({ side }) => side === OURS);
  const theirs = rows.find(({ side }) => side === names.classes);
  if (!ours || !theirs) return undefined;
  if (name === "churn-1m-64") {
    return [
      goalOf("throughput: classes take >= 5 x as long", ratioOf(of.get(names.classes), of.get(OURS), "ns", random), 5),
      goalOf(
        "p99.9 of a batch: classes' >= 50 x ours",
        ratioOf(of.get(names.classes), of.get(OURS), "p999", random),
        50,
      ),
      below("resident after the churn: <= 1/4 of classes'", ours.extra.resident / theirs.extra.resident, 0.25),
      below("resident when just built: <= 1/4 of classes'", ours.extra.built / theirs.extra.built, 0.25),
      below("peak: <= 1/4 of classes'", ours.extra.peak / theirs.extra.peak, 0.25),
    ];
  }
  if (name === "frames-200k") {
    const tail = (side) => median(of.get(side).map(({ p99, p50 }) => p99 / p50));
    const goal = below("p99 of a frame: <= 1.5 x p50", tail(OURS), 1.5);
    // What the machine alone makes of it: this side has no allocator at all.
    return of.get(names.records)?.length ? [{ ...goal, byHand: tail(names.records) }] : [goal];
  }
  return undefined;
}

const maybe = (values, digest) => (values.every((value) => value !== undefined) ? digest(values) : undefined);

function tableOf(table, of, base, failures, random) {
  const { name, title, workload, live, perBatch, span, sides } = table;
  const ran = sides.filter((side) => of.get(side).length > 0);
  const sums = ran.map((side) => `${side}: ${[...new Set(of.get(side).map(({ checksum }) => checksum))].join(", ")}`);
  if (new Set(sums.map((text) => text.split(": ")[1])).size > 1)
    throw new Error(`${name}: sides differ in what they computed: ${sums.join("; ")}`);
  const ours = of.get(OURS);
  const same = of.get(names.again);
  const { ci } = ratioOf(same, ours, "ns", random);
  const noise = Math.max(Math.abs(ci[0] - 1), Math.abs(ci[1] - 1));
  const rows = ran.map((side) => {
    const runs = of.get(side);
    const each = (key) => runs.map((run) => run[key]);
    const beyond = (key, from) => maybe([...each(key), ...from], () => median(each(key)) - median(from));
    const resident = beyond("after", base.built);
    const against = side === OURS ? undefined : ratioOf(runs, ours, "ns", random);
    const result = against && { of: OURS, ...against };
    if (result) {
      const sure = Math.abs(result.ratio - 1) > noise && (result.ci[0] > 1 || result.ci[1] < 1);
      result.verdict = !sure ? "no difference" : result.ratio > 1 ? "slower" : "faster";
    }
    const pauses = maybe(each("gcCount"), () => ({
      count: median(each("gcCount")),
      ms: median(each("gcMs")),
      part: median(runs.map((run) => run.gcMs / run.ms)),
    }));
    return {
      side,
      samples: each("ns"),
      stats: {
        median: median(each("ns")),
        p50: median(each("p50")),
        p99: maybe(each("p99"), median),
        p999: maybe(each("p999"), median),
        max: median(each("max")),
      },
      ratio: result,
      extra: {
        cpuNs: median(each("cpuNs")),
        collections: pauses,
        built: beyond("built", base.built),
        resident,
        peak: beyond("peak", base.peak),
        bytesPerObject: live >= 1e6 && resident !== undefined ? resident / live : undefined,
        runs,
      },
    };
  });
  const busy = median(ran.flatMap((side) => of.get(side).map(({ waited, ms }) => waited / ms)));
  return {
    name,
    title,
    workload,
    busy,
    unit: "ns/op",
    lower: true,
    span,
    spanUnit: "µs",
    perBatch,
    live,
    rows,
    noise,
    goals: goalsOf(name, rows, of, random),
    notRun: [...(table.notRun ?? []), ...failures],
  };
}

// ---------------------------------------------------------------------------------------------------------------------
// Messages between two threads: the workload of bench/threads, with the rows that have to do with JavaScript's heap.

const aboutMessages = {
  name: MESSAGES,
  title: "Messages of 256 bytes from one worker to another",
  workload: "One thread makes messages of 32 doubles, the other reads all numbers of each and drops it.",
  unit: "ns/op",
  lower: true,
};

const noMessages = {
  ...aboutMessages,
  rows: [],
  noise: 0,
  notRun: [{ side: OURS, why: "two threads need two cores" }],
};

async function messages({ quick, random, progress, say }) {
  const { compile } = await import("../threads/compile.mjs");
  const { rowsOf } = await import("../threads/sections/messages.mjs");
  await compile(say);
  const all = [];
  for (let i = 0; i < (quick ? 1 : 3); i++) {
    // As bench:threads runs it: one process has two threads, a core each, and optimised code from the start.
    const task = { section: "messages", name: "messages", quick: true, seed: Math.floor(random() * 2 ** 32) };
    const onPart = (part) => progress(part, MESSAGES);
    all.push(await inChild(new URL("../threads/child.mjs", import.meta.url), task, ["--no-liftoff"], onPart));
  }
  const joined = Object.fromEntries(Object.keys(all[0]).map((key) => [key, all.flatMap((one) => one[key])]));
  const result = rowsOf("messages", joined, random);
  const pool = "pool, JavaScript";
  const called = {
    [pool]: OURS,
    [`${pool}: ours against ours`]: names.again,
    "slots, JavaScript": "shared ring of slots, by hand",
    "postMessage, object": "structured clone of an object",
    "postMessage, Uint8Array": "structured clone of bytes",
    "postMessage, transfer": "transfer of an ArrayBuffer",
  };
  const { noise } = result.find(({ name }) => name === pool);
  const rows = Object.entries(called).map(([name, side]) => {
    const { ns, ratio, ci, samples, calm } = result.find((row) => row.name === name);
    const sure = ratio && Math.abs(ratio - 1) > noise && (ci[0] > 1 || ci[1] < 1);
    const verdict = !sure ? "no difference" : ratio > 1 ? "slower" : "faster";
    return {
      side,
      samples: samples.map((sample) => sample.ns),
      stats: { median: ns },
      ratio: ratio ? { of: OURS, ratio, ci, verdict } : undefined,
      extra: { calm },
    };
  });
  const of = (side) => rows.find((row) => row.side === side).ratio;
  return {
    ...aboutMessages,
    rows,
    noise,
    notes: ["With postMessage a sample is 2,000 messages, with shared memory 20,000: times are by the clock."],
    goals: [
      goalOf("structured clone of bytes takes >= 10 x as long", of("structured clone of bytes"), 10),
      goalOf("structured clone of an object takes >= 10 x as long", of("structured clone of an object"), 10),
    ],
  };
}

// ---------------------------------------------------------------------------------------------------------------------

const notes = [
  "Each side runs in processes of its own, in random order, with the engine's default flags, warmed up; one process at a time, " +
    "which may use the other cores for collecting garbage. All do the same work: their checksums must be equal.",
  "ns/op is time by the clock, garbage collection in it, but without the stretches in which others had the core (Linux tells " +
    "them); cpu is processor time, of the engine's other threads too. p50 to max: of a batch or frame, in a process; shown are " +
    "the medians over processes. x ours: how many times as long as the first.",
  "memory: what is resident beyond an empty process of the same kind, after the load has run; the list of the objects is in it.",
  "wasm-mempool: typed views held in constants, on a heap that never grows. cursors: the same through struct cursors.",
];

export const suite = {
  name: "heap",
  title: "Against the JS heap",
  seconds: 240,
  notes,
  /** The tables there are, in a quick run or in a full one. */
  async tables(quick = false) {
    return [...(await plan({ quick })).map(({ name }) => name), MESSAGES];
  },
  async run({ quick = false, random, progress = () => {}, only, say = () => {} }) {
    const tables = await plan({ quick, only });
    const withMessages = !only || only.includes(MESSAGES);
    const two = cpus().length > 1;
    const seconds = (quick ? 34 : suite.seconds) - (withMessages ? (quick ? 5 : 15) : 0);
    const { results, empty, failures, rounds } = await collect(tables, { quick, random, progress }, seconds);
    const done = tables.map((table) => {
      const of = results.get(table);
      for (const side of [OURS, names.again]) {
        const why = failures.find((failure) => failure.table === table && failure.side === side)?.why;
        if (of.get(side).length === 0) throw new Error(`${table.name}: ${side}: ${why}`);
      }
      const base = empty.get(table.file);
      const list = { built: base.map(({ built }) => built), peak: base.map(({ peak }) => peak) };
      const failed = failures.filter((failure) => failure.table === table).map(({ side, why }) => ({ side, why }));
      const made = tableOf(table, of, list, failed, random);
      if (rounds < 3)
        made.notes = [`${rounds === 1 ? "one process" : `${rounds} processes`} of each side: too few to judge by`];
      return made;
    });
    if (withMessages) done.push(two ? await messages({ quick, random, progress, say }) : noMessages);
    return done;
  },
};

// ---------------------------------------------------------------------------------------------------------------------
// Alone

/** Six digits are more than are true; of a checksum all are. */
const brief = (key, value) =>
  typeof value === "number" && !Number.isInteger(value) && key !== "checksum" ? Number(value.toPrecision(6)) : value;

async function main() {
  const { parseArgs } = await import("node:util");
  const { print } = await import("./print.mjs");
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      only: { type: "string" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) },
    },
  });
  const { quick, json } = values;
  const seed = Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
    throw new Error(`--seed: must be an integer from 0 to 2^32 - 1, got ${values.seed}`);
  const only = values.only?.split(",");
  const known = await suite.tables();
  for (const name of only ?? [])
    if (!known.includes(name)) throw new Error(`--only: no table "${name}"; there are ${known.join(", ")}`);
  const erase = process.env.NO_COLOR ? `\r${" ".repeat(70)}\r` : "\r\x1b[K";
  const say = (text) => process.stderr.isTTY && process.stderr.write(`${erase}${text}`);
  const progress = (part, label) => say(`${Math.round(100 * part)} % ${label}`);
  const random = randomFrom(seed);
  const tables = await suite.run({ quick, only, random, progress, say });
  say("");
  const colour = process.stdout.isTTY && !process.env.NO_COLOR;
  console.log(
    json ? JSON.stringify({ seed, quick, notes, tables }, brief) : print(suite, tables, { seed, quick, colour }),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await main();
  } catch (error) {
    console.error(`bench: ${error.message}`);
    process.exit(2);
  }
}
