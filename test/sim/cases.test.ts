/**
 * The core's threads. `SIM_SCHEDULE`, as a failure prints it, runs that one schedule; `SIM_SECONDS` is how long each case
 * may be searched; `SIM_ASSEMBLY` names another folder of sources, such as a changed copy.
 */
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { build, type SimBuild } from "./build.ts";
import { cases, freedTwice } from "./cases.ts";
import { exemptions } from "./exemptions.ts";
import { races } from "./race.ts";
import { replay, report, search } from "./search.ts";

const folder = resolve(process.env["SIM_ASSEMBLY"] ?? "assembly");
const { exempt, stops } = exemptions(folder);
const variant = process.env["SIM_ASSEMBLY"] ? "other" : "core";
const milliseconds = 1000 * Number(process.env["SIM_SECONDS"] ?? 0.3);
const [only, schedule, variantOf] = process.env["SIM_SCHEDULE"]?.split(":") ?? [];
const chosen = only ? cases.filter(({ name }) => name === only) : cases;

let core: SimBuild;
let reporting: SimBuild;
let checker: SimBuild;

beforeAll(async () => {
  core = await build(variant, { entry: join(folder, "shared.ts") });
  reporting = await build(variant, { entry: join(folder, "shared.ts"), race: true });
  checker = await build(`${variant}.inspect`, { entry: join(folder, "inspect.ts") });
});

test("of two frees of one element at the same instant, one is caught by the checked build, and both pass in the other", async () => {
  const checked = await build("checked", { checked: true });
  // What it looks at is plain in the other build: no order of atomic operations says that it matters.
  const mode = { preemptions: 2 };
  const caught = search(checked, freedTwice, { mode, milliseconds: 20_000, checker });
  expect(report(freedTwice.name, caught)).toBe("");
  expect(caught.schedules).toBeGreaterThan(1);
  const missed = search(core, freedTwice, { mode, milliseconds: 20_000, checker });
  expect(missed.fault?.message).toContain("results 0,0");
});

describe.each(chosen)("$name", (one) => {
  if (schedule) {
    test("the schedule", () => {
      const race = variantOf ? { observer: races(reporting, exempt), stops } : {};
      const { message, trace } = replay(variantOf ? reporting : core, one, schedule, { checker, ...race });
      expect.fail(`${message}\n${trace}`);
    });
    return;
  }

  test("no order of steps goes wrong", () => {
    const outcome = search(core, one, { mode: one.mode, milliseconds, checker });
    expect(report(one.name, outcome)).toBe("");
    expect(outcome.schedules).toBeGreaterThan(0);
  });

  test("no data race, and no death between plain stores", () => {
    const mode = { random: Infinity, seed: 3 };
    const observer = races(reporting, exempt);
    const outcome = search(reporting, one, { mode, milliseconds, checker, observer, stops });
    expect(report(one.name, outcome, "race")).toBe("");
  });
});
