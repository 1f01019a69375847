/** Debug heaps' threads: as cases.test.ts, over the build of debug heaps. */
import { beforeAll, describe, expect, test } from "vitest";
import { build, type SimBuild } from "./build.ts";
import { debugCases } from "./debugging.ts";
import { exemptions } from "./exemptions.ts";
import { races } from "./race.ts";
import { replay, report, search } from "./search.ts";

const milliseconds = 1000 * Number(process.env["SIM_SECONDS"] ?? 0.3);
const [only, schedule, variantOf] = process.env["SIM_SCHEDULE"]?.split("@") ?? [];

const { exempt, stops } = exemptions("assembly");

let core: SimBuild;
let reporting: SimBuild;
let checker: SimBuild;
beforeAll(async () => {
  core = await build("debug", { entry: "assembly/abi/debug-shared.ts", debug: true });
  reporting = await build("debug", { entry: "assembly/abi/debug-shared.ts", debug: true, race: true });
  checker = await build("debug.inspect", { entry: "assembly/abi/inspect.ts", debug: true });
});

describe.each(debugCases.filter(({ name }) => !only || only === name))("$name", (one) => {
  test("no schedule has a fault", () => {
    if (schedule) {
      const race = variantOf ? { observer: races(reporting, exempt), stops } : {};
      const { message, trace } = replay(variantOf ? reporting : core, one, schedule, { checker, ...race });
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
    expect(outcome.schedules).toBeGreaterThan(0);
  });
});
