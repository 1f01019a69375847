/** Runs one workload of one section in this process, so that none inherits another's memory or compiled code. */
import { randomFrom } from "../core/measure.mjs";

const { section, name, quick, seed } = JSON.parse(process.argv[2]);
const { run } = await import(`./sections/${section}.mjs`);
const progress = (part) => process.send({ part });
try {
  process.send({ result: await run({ name, quick, random: randomFrom(seed), progress }) }, () => process.exit(0));
} catch (error) {
  process.send({ error: error.stack }, () => process.exit(1));
}
