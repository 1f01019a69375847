/** The results there are, in one form. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** In the order of the page. */
const order = ["allocators", "heap", "threads", "startup", "runtimes", "core", "counts"];
const place = (name) => (order.includes(name) ? order.indexOf(name) : order.length);

/** What bench:core and bench:threads write by themselves. */
async function adapted(name, result) {
  const { suite, tablesOf } = await import(`../${name}/suite.mjs`);
  const { date, node, machine, compiler, seed, quick, method } = result;
  return {
    suite: name,
    title: suite.title,
    date,
    seed,
    quick,
    machine,
    method: [method.join(" ")],
    versions: { node: node.replace(/^node v/, "").split(",")[0], assemblyscript: compiler.asc },
    tables: tablesOf(result),
  };
}

export async function load(folder) {
  const results = [];
  for (const file of existsSync(folder) ? readdirSync(folder).toSorted() : []) {
    if (!file.endsWith(".json")) continue;
    const name = file.slice(0, -5);
    const result = JSON.parse(readFileSync(join(folder, file), "utf8"));
    if (result.format === 1) results.push(result);
    else if (result.sections) results.push(await adapted(name, result));
    else throw new Error(`${file}: not a result of a benchmark`);
  }
  return results.toSorted((a, b) => place(a.suite) - place(b.suite) || a.suite.localeCompare(b.suite));
}
