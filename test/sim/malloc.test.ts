/** Malloc's threads: as cases.test.ts, over the build that has pools and malloc. */
import { beforeAll, describe, expect, test } from "vitest";
import { build, type SimBuild } from "./build.ts";
import { exemptions } from "./exemptions.ts";
import { mallocCases } from "./malloc.ts";
import { races } from "./race.ts";
import { replay, report, search } from "./search.ts";

const entry = "assembly/abi/linked-shared.ts";
const { exempt, stops } = exemptions("assembly");
const milliseconds = 1000 * Number(process.env["SIM_SECONDS"] ?? 0.3);
const [only, schedule] = process.env["SIM_SCHEDULE"]?.split("@") ?? [];

let core: SimBuild;
let reporting: SimBuild;
let checker: SimBuild;
beforeAll(async () => {
  core = await build("malloc", { entry, malloc: true });
  reporting = await build("malloc", { entry, malloc: true, race: true });
  checker = await build("core.inspect", { entry: "assembly/abi/inspect.ts" });
});

describe.each(mallocCases.filter(({ name }) => !only || only === name))("$name", (one) => {
  test("no schedule has a fault", () => {
    if (schedule) {
      const { message, trace } = replay(core, one, schedule, { checker });
      expect.fail(`${message}\n${trace}`);
    }
    const outcome = search(core, one, { mode: one.mode, milliseconds, checker });
    expect(report(one.name, outcome)).toBe("");
    expect(outcome.schedules).toBeGreaterThan(0);
  });

  test("no schedule has a data race", () => {
    const mode = { random: Infinity, seed: 3 };
    const outcome = search(reporting, one, { mode, milliseconds, checker, observer: races(reporting, exempt), stops });
    expect(report(one.name, outcome, "race")).toBe("");
  });
});
