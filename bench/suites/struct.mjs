/** Field access of cursors, against the same access by hand on typed arrays. */
import { inChild } from "../harness/children.mjs";
import { compare, median, noiseOf, rowOf } from "../harness/statistics.mjs";

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

export const suite = {
  title: "Structs",
  seconds: 30,
  method: [
    "The loops run by turns over the same 20,000 elements, in one process. Ratios are medians of the ratios of a turn, with a 95 % bootstrap interval. The noise is how far a loop by hand seems to be from a copy of itself. Times are processor time.",
  ],
  async run({ quick, random, progress, wanted }) {
    const onPart = (part) => progress(part, "cursors");
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
    return { tables: [...tables, rare].filter(({ name }) => wanted(name)) };
  },
};
