// What the cores execute for fixed workloads, per call.
//
//   node bench/counts/main.mjs [--update] [--json]
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { differences, file, format, measure, recorded, table } from "./counts.mjs";

const flag = { type: "boolean", default: false };
const { update, json } = parseArgs({ options: { update: flag, json: flag } }).values;
const counted = measure();
const lines = differences(recorded(), counted);
if (update) writeFileSync(file, format(counted));
if (json) process.stdout.write(format(counted));
else if (update) console.log(lines.length === 0 ? "nothing has changed" : lines.join("\n"));
else {
  console.log(table(counted));
  if (lines.length > 0) console.log(`\nAgainst counts.json, old -> new:\n${lines.join("\n")}`);
}
