/** Fields by indices and cursors, against the same access by hand on typed arrays. */
import { inChild } from "../harness/children.mjs";
import { compare, goalOf, median, noiseOf, rowOf, shuffled } from "../harness/statistics.mjs";

const HELD = "typed arrays held in constants";
const CHECKED = "typed arrays looked up and checked at each access";
const titles = {
  "struct-alone": "Fields through a cursor: 3 struct types",
  "struct-others": "Fields through a cursor: 20 other types alive and used",
  "struct-grown": "Fields through a cursor: after the memory has grown 3 times",
};

function tableOf(name, cases, random) {
  const noises = [];
  const rows = cases.map(({ name: side, samples: { cursor, held, again, checked } }) => {
    const noise = noiseOf(held, again, random);
    noises.push(noise);
    return rowOf(side, cursor, {
      of: { side: CHECKED, samples: checked },
      noise,
      random,
      extra: {
        [`x ${HELD}`]: compare(cursor, held, random).ratio,
        "ns, held": median(held),
        "ns, checked": median(checked),
        against: { held, again, checked },
      },
    });
  });
  return {
    name,
    title: titles[name],
    workload: `an element's fields through a cursor, against ${CHECKED}, which survive growth as a cursor does, and ${HELD}, which do not`,
    unit: "ns/op",
    lower: true,
    noise: Math.max(...noises),
    rows,
  };
}

const PARTICLES = "struct-particles";
const BY_HAND = "views by hand";
const INDICES = "field indices";
const AGAIN = "field indices, again";

/** The frame of a program with 50,000 particles: each way in processes of its own. */
async function particles({ quick, random, onPart }) {
  const ways = [INDICES, AGAIN, BY_HAND, "cursor", "cursor, each field once", "objects"];
  const all = Object.fromEntries(ways.map((way) => [way, []]));
  const rounds = quick ? 1 : 5;
  for (let round = 0; round < rounds; round++) {
    for (const [i, way] of shuffled(ways, random).entries()) {
      const payload = { way: way === AGAIN ? INDICES : way, quick };
      all[way].push(await inChild(new URL("struct/particles-child.mjs", import.meta.url), payload));
      onPart((round + i / ways.length) / rounds);
    }
  }
  const samples = (way) => all[way].flatMap((one) => one.samples);
  const results = new Set(Object.values(all).flatMap((runs) => runs.map(({ result }) => result)));
  if (results.size > 1) throw new Error(`${PARTICLES}: ways differ in what they computed: ${[...results].join(", ")}`);
  const noise = noiseOf(samples(INDICES), samples(AGAIN), random);
  const rows = ways.map((side) =>
    rowOf(side, samples(side), {
      ...(side !== BY_HAND && { of: { side: BY_HAND, samples: samples(BY_HAND) }, noise, random }),
      extra: { "collections a frame": median(all[side].map(({ collections }) => collections)) },
    }),
  );
  return {
    name: PARTICLES,
    title: "A frame of 50,000 particles",
    workload:
      "12 accesses of each particle's fields; one whose time is over is freed, and another allocated in its place",
    unit: "ms",
    lower: true,
    noise,
    rows,
    goals: [goalOf(`${INDICES}, against ${BY_HAND}`, rows[0].ratio, 1.1)],
  };
}

export const suite = {
  title: "Structs",
  seconds: 60,
  method: [
    "The loops run by turns over the same 20,000 elements, in one process. Ratios are medians of the ratios of a turn, with a 95 % bootstrap interval. The noise is how far a loop by hand seems to be from a copy of itself. Times are processor time.",
  ],
  async run({ quick, random, progress, wanted }) {
    const onPart = (part) => progress(part, "cursors");
    const first = wanted(PARTICLES) ? [await particles({ quick, random, onPart })] : [];
    const names = [...Object.keys(titles), "struct-rare"];
    if (!names.some(wanted)) return { tables: first };
    const results = await inChild(new URL("struct/child.mjs", import.meta.url), { quick }, { onPart });
    const { mixed, brackets } = results;
    const rare = {
      name: "struct-rare",
      title: "Fields that an engine cannot make fast",
      workload:
        "one call site that reads a field of 20 types in turn; an array's elements in brackets, read and written",
      unit: "ns/op",
      lower: true,
      noise: 0,
      rows: [rowOf("20 types in turn", mixed), rowOf("bios[1] = bios[0]", brackets)],
    };
    const tables = Object.keys(titles).map((name) => tableOf(name, results[name], random));
    return { tables: [...first, ...[...tables, rare].filter(({ name }) => wanted(name))] };
  },
};
