/**
 * The core's threads. `SIM_SCHEDULE`, as a failure prints it, runs that one schedule; `SIM_SECONDS` limits the search of
 * each case; `SIM_ASSEMBLY` names another folder of sources, such as a changed copy.
 */
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { build, type SimBuild } from "./build.ts";
import { cases, freedOfLeaver, freedTwice } from "./cases.ts";
import { layout } from "../layout/layout.ts";
import { movedRounds } from "./death-points.ts";
import { deathCases, deathsBeside, reapedForWaiter } from "./deaths.ts";
import { exemptions } from "./exemptions.ts";
import { races } from "./race.ts";
import { CHANGE, DEATH, NOTIFY } from "./script.ts";
import { replay, report, search } from "./search.ts";

const folder = resolve(process.env["SIM_ASSEMBLY"] ?? "assembly");
const { exempt, stops } = exemptions(folder);
const variant = process.env["SIM_ASSEMBLY"] ? "other" : "core";
const milliseconds = 1000 * Number(process.env["SIM_SECONDS"] ?? 0.3);
const [only, schedule, variantOf] = process.env["SIM_SCHEDULE"]?.split(":") ?? [];
/** The cases without deaths beside working threads: those are many, and main.ts searches them. */
const few = [...cases, ...deathCases.filter((one) => !deathsBeside.includes(one))];
const chosen = only ? [...cases, ...deathCases].filter(({ name }) => name === only) : few;

/** The heap of every case begins here. */
const HEAP = 1024;

let core: SimBuild;
let reporting: SimBuild;
let checker: SimBuild;

beforeAll(async () => {
  core = await build(variant, { entry: join(folder, "abi/shared.ts") });
  reporting = await build(variant, { entry: join(folder, "abi/shared.ts"), race: true });
  checker = await build(`${variant}.inspect`, { entry: join(folder, "abi/inspect.ts") });
});

test("the checked build refuses one of two simultaneous frees of an element", async () => {
  const checked = await build("checked", { checked: true });
  // The other build accesses the state byte by plain operations, so partial-order reduction sees no dependency.
  const mode = { preemptions: 2 };
  const caught = search(checked, freedTwice, { mode, milliseconds: 20_000, checker });
  expect(report(freedTwice.name, caught)).toBe("");
  expect(caught.schedules).toBeGreaterThan(1);
  const missed = search(core, freedTwice, { mode, milliseconds: 20_000, checker });
  expect(missed.fault?.message).toContain("results 0,0");
});

test("the checked build frees an element while its owner's number is taken off", async () => {
  const checked = await build("checked", { checked: true });
  const outcome = search(checked, freedOfLeaver, { mode: freedOfLeaver.mode, milliseconds: 20_000, checker });
  expect(report(freedOfLeaver.name, outcome)).toBe("");
  expect(outcome.schedules).toBeGreaterThan(1);
});

test("a reap notifies a waiter once all memory of the dead thread is free", () => {
  const freedAt = HEAP + layout("HEAP_FREED");
  // A waiter that wakes earlier finds nothing, and sleeps again.
  const observer = () => {
    let hasDied = false;
    let isLate = false;
    return {
      begin: () => (hasDied = isLate = false),
      access: () => {},
      event(_: number, kind: number, address: number) {
        if (kind === DEATH) hasDied = true;
        else if (kind === NOTIFY) isLate = false;
        else if (kind === CHANGE && address === freedAt) isLate = true;
      },
      end: () => (hasDied && isLate ? "memory became free after the notification" : undefined),
    };
  };
  const outcome = search(core, reapedForWaiter, { mode: { preemptions: 0 }, milliseconds: 20_000, checker, observer });
  expect(report(reapedForWaiter.name, outcome)).toBe("");
  expect(outcome.deaths).toBeGreaterThan(0);
});

test.each(movedRounds)("$name, between any two stores", (one) => {
  const outcome = search(reporting, one, { mode: { preemptions: 0 }, milliseconds: 20_000, checker, stops });
  expect(report(one.name, outcome, "race")).toBe("");
  expect(outcome.deaths).toBeGreaterThan(0);
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

  test("no schedule has a fault", () => {
    const outcome = search(core, one, { mode: one.mode, milliseconds, checker });
    expect(report(one.name, outcome)).toBe("");
    expect(outcome.schedules).toBeGreaterThan(0);
  });

  test("no schedule has a data race", () => {
    const mode = { random: Infinity, seed: 3 };
    const observer = races(reporting, exempt);
    const outcome = search(reporting, one, { mode, milliseconds, checker, observer, stops });
    expect(report(one.name, outcome, "race")).toBe("");
  });
});
