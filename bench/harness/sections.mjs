/**
 * Suites in sections. A section is a module that exports
 * - `tables`: the workloads of each of its tables, by the table's name;
 * - `run({ workload, quick, random, progress })`: the samples of one workload, in a process of its own;
 * - `tableOf(name, samples, random)`: a table, from the samples of all processes by workload;
 * - `processes`, how many processes run each workload (1), and `execArgv`, their flags;
 * - `guests`: the modules that it needs compiled.
 */
import { compile } from "../guests/modules.mjs";
import { answer, inChild } from "./children.mjs";
import { randomFrom } from "./statistics.mjs";

/** The lists that several processes gave, one after the other. */
export const joined = (all) =>
  all.length === 1
    ? all[0]
    : Object.fromEntries(
        Object.keys(all[0]).map((key) => [
          key,
          Array.isArray(all[0][key]) ? all.flatMap((one) => one[key]) : all[0][key],
        ]),
      );

/** The wanted tables of the sections at `urls`. */
export async function runSections(urls, { quick, random, wanted = () => true, progress }) {
  const sections = await Promise.all(urls.map(async ({ href }) => ({ href, ...(await import(href)) })));
  const tables = sections.flatMap((section) =>
    Object.entries(section.tables)
      .filter(([name]) => wanted(name))
      .map(([name, workloads]) => ({ section, name, samples: Object.fromEntries(workloads.map((one) => [one, []])) })),
  );
  const guests = tables.flatMap(({ section }) => section.guests ?? []);
  await compile(new Set(guests), (text) => progress(0, text));
  // Round by round: a disturbance of the machine meets all workloads.
  const rounds = Math.max(...sections.map(({ processes = 1 }) => (quick ? 1 : processes)));
  const tasks = Array.from({ length: rounds }).flatMap((_, round) =>
    tables
      .filter(({ section: { processes = 1 } }) => round < processes)
      .flatMap(({ section, samples }) =>
        Object.entries(samples).map(([workload, all]) => ({ section, workload, all })),
      ),
  );
  for (const [i, { section, workload, all }] of tasks.entries()) {
    const onPart = (part) => progress((i + part) / tasks.length, workload);
    onPart(0);
    const payload = { section: section.href, workload, quick, seed: Math.floor(random() * 2 ** 32) };
    all.push(await inChild(new URL(import.meta.url), payload, { execArgv: section.execArgv, onPart }));
  }
  return tables.map(({ section, name, samples }) =>
    section.tableOf(name, Object.fromEntries(Object.entries(samples).map(([key, all]) => [key, joined(all)])), random),
  );
}

if (process.send && process.argv[1] === new URL(import.meta.url).pathname) {
  await answer(async ({ section, seed, ...options }, progress) =>
    (await import(section)).run({ ...options, random: randomFrom(seed), progress }),
  );
}
