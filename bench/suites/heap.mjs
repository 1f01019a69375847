/** Workloads that keep objects, in JavaScript's heap and in ours: throughput, the slowest frames, garbage, memory. */
import { cpus } from "node:os";
import { inChild } from "../harness/children.mjs";
import { runSections } from "../harness/sections.mjs";
import { goalOf, median, noiseOfInterval, quantile, shuffled, verdictOf } from "../harness/statistics.mjs";
import { names } from "./heap/common.mjs";

const files = ["churn", "frames", "ast", "queues", "lru"];
const OURS = names.views;
const MESSAGES = "messages-256";
const SECONDS = 225;
/** The most and the fewest rounds; the time decides. */
const ROUNDS = 11;
const LEAST = 5;
/** The part of the work that a quick run does. */
const QUICK = 0.25;
/** The tables of a run of the whole suite, which has time for enough processes of these; others run by name. */
const headlines = new Set(["churn-1k-64", "churn-1m-64", "frames-200k", "garbage-10k", "queue-time-10k", "lru-100k"]);
/** The sides that run only in tables wanted by name. */
const left = new Set([names.literals, names.typed, names.bulk, names.map, names.arena, names.cursors]);

/** The wanted tables. */
async function plan({ quick, wanted, isNamed }) {
  const tables = [];
  for (const file of files) {
    for (const table of (await import(`./heap/workloads/${file}.mjs`)).tables) {
      if (!wanted(table.name) || !(isNamed || headlines.has(table.name))) continue;
      const sides = isNamed ? table.sides : table.sides.filter((side) => !left.has(side));
      const [warm, batches] = [table.warm, table.batches].map((n) => Math.ceil(n * (quick ? QUICK : 1)));
      tables.push(Object.assign({}, table, { file, sides, warm, batches }));
    }
  }
  return tables;
}

/** One round: each side of each table in a process of its own, and an empty process for each file. */
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
    // Whole rounds only, within the time.
    if (rounds >= (quick ? 1 : LEAST) && spent + spent / rounds > seconds) break;
    const tasks = shuffled(tasksOf(tables), random);
    for (const [k, { table, side, file = table.file }] of tasks.entries()) {
      progress((rounds + k / tasks.length) / most, table ? `${table.name}: ${side}` : "an empty process");
      const { params, warm, batches, perBatch } = table ?? {};
      try {
        const task = { file, side, params, warm, batches, perBatch };
        const result = await inChild(new URL("heap/child.mjs", import.meta.url), task, { seconds: 120 });
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

/** A bootstrap sample: runs at random, and pieces of them at random. */
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

/** The ratio of the medians of theirs and ours, with a 95 % interval. */
function ratioOf(theirs, ours, key, random) {
  const of = (runs) => median(runs.map((run) => run[key]));
  const all = Array.from({ length: 1000 }, () => resample(theirs, key, random) / resample(ours, key, random));
  return { ratio: of(theirs) / of(ours), ci: [quantile(all, 0.025), quantile(all, 0.975)] };
}

/** The goals of the tables that have any. */
function goalsOf(name, rows, of, random) {
  const ours = rows.find(({ side }) => side === OURS);
  const theirs = rows.find(({ side }) => side === names.classes);
  if (!ours || !theirs) return [];
  const ratio = (key) => ratioOf(of.get(names.classes), of.get(OURS), key, random);
  const part = (key) => ({ ratio: ours.extra[key] / theirs.extra[key] });
  if (name === "churn-1m-64") {
    return [
      goalOf("throughput: classes take >= 5 x as long", ratio("ns"), 5, { atLeast: true }),
      goalOf("p99.9 of a batch: classes' >= 50 x ours", ratio("p999"), 50, { atLeast: true }),
      goalOf("resident after the churn: <= 1/4 of classes'", part("resident"), 0.25),
      goalOf("resident when just built: <= 1/4 of classes'", part("built"), 0.25),
      goalOf("peak: <= 1/4 of classes'", part("peak"), 0.25),
    ];
  }
  if (name !== "frames-200k") return [];
  const tail = (side) => median(of.get(side).map(({ p99, p50 }) => p99 / p50));
  const goal = goalOf("p99 of a frame: <= 1.5 x p50", { ratio: tail(OURS) }, 1.5);
  // The tail of the side without any allocator is the machine's own.
  return [of.get(names.records)?.length ? { ...goal, byHand: tail(names.records) } : goal];
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
  const noise = noiseOfInterval(ratioOf(same, ours, "ns", random).ci);
  const rows = ran.map((side) => {
    const runs = of.get(side);
    const each = (key) => runs.map((run) => run[key]);
    const beyond = (key, from) => maybe([...each(key), ...from], () => median(each(key)) - median(from));
    const resident = beyond("after", base.built);
    const result = side === OURS ? undefined : ratioOf(runs, ours, "ns", random);
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
      ...(result && { ratio: { of: OURS, ...result, verdict: verdictOf(result, noise) } }),
      extra: {
        clockNs: median(each("clockNs")),
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

/** The messages of the threads suite: the sides that have to do with JavaScript's heap. */
const messageSides = {
  "pool, JavaScript": OURS,
  "pool, JavaScript: ours against ours": names.again,
  "slots, JavaScript": "shared ring of slots, by hand",
  "postMessage, object": "structured clone of an object",
  "postMessage, Uint8Array": "structured clone of bytes",
  "postMessage, transfer": "transfer of an ArrayBuffer",
};

async function messages({ progress, ...options }) {
  const table = {
    name: MESSAGES,
    title: "Messages of 256 bytes from one worker to another",
    workload: "One thread makes messages of 32 doubles, the other reads all numbers of each and drops it.",
    unit: "ns/op",
    lower: true,
  };
  if (cpus().length < 2)
    return { ...table, rows: [], noise: 0, notRun: [{ side: OURS, why: "two threads need two cores" }] };
  const section = new URL("threads/messages.mjs", import.meta.url);
  const [{ rows: all, noise }] = await runSections([section], {
    ...options,
    wanted: undefined,
    progress: (part) => progress(part, MESSAGES),
  });
  const rows = Object.entries(messageSides).map(([name, side]) => {
    const row = all.find((one) => one.side === name);
    return Object.assign(row, { side }, row.ratio && { ratio: { ...row.ratio, of: OURS } });
  });
  const of = (side) => rows.find((row) => row.side === side).ratio;
  return {
    ...table,
    rows,
    noise,
    notes: ["With postMessage a sample is 2,000 messages, with shared memory 20,000: times are by the clock."],
    goals: ["structured clone of bytes", "structured clone of an object"].map((side) =>
      goalOf(`${side} takes >= 10 x as long`, of(side), 10, { atLeast: true }),
    ),
  };
}

export const suite = {
  title: "Against the JS heap",
  seconds: 240,
  method: [
    "Each side runs in processes of its own, in random order, with the engine's default flags, warmed up; one process at a time, which may use the other cores for collecting garbage. All do the same work: their checksums must be equal.",
    "ns/op is processor time, of the engine's threads that collect garbage too: the work of other processes is not in it. p50 to max: of a batch or frame, by the clock, without the stretches in which other processes had the core (Linux tells them); shown are the medians over processes.",
    "Memory is what is resident beyond an empty process of the same kind, after the load has run; the list of the objects is in it.",
    "wasm-mempool: typed views held in constants, on a heap that never grows. cursors: the same through struct cursors.",
  ],
  async run(options) {
    const { quick, wanted } = options;
    const tables = await plan(options);
    const { results, empty, failures, rounds } = await collect(tables, options, quick ? 29 : SECONDS);
    const made = tables.map((table) => {
      const of = results.get(table);
      const its = failures.filter((failure) => failure.table === table).map(({ side, why }) => ({ side, why }));
      for (const side of [OURS, names.again])
        if (of.get(side).length === 0)
          throw new Error(`${table.name}: ${side}: ${its.find((failure) => failure.side === side)?.why}`);
      const base = empty.get(table.file);
      const list = { built: base.map(({ built }) => built), peak: base.map(({ peak }) => peak) };
      const few = `${rounds === 1 ? "one process" : `${rounds} processes`} of each side: too few to judge by`;
      return Object.assign(tableOf(table, of, list, its, options.random), rounds < 3 && { notes: [few] });
    });
    if (wanted(MESSAGES)) made.push(await messages(options));
    return { tables: made };
  },
};
