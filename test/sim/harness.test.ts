/** The search finds the faults of small programs, and finds none once they are repaired. */
// Each script is written where it is used.
/* oxlint-disable unicorn/consistent-function-scoping */
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { build, type SimBuild } from "./build.ts";
import { type Machine } from "./machine.ts";
import { call, gone, post, take, type Action, type Case, type Script } from "./script.ts";
import { races } from "./race.ts";
import { replay, search, type Explorer, type Options } from "./search.ts";

let toys: SimBuild;
let reporting: SimBuild;

beforeAll(async () => {
  const entry = fileURLToPath(new URL("assembly/toys.ts", import.meta.url));
  toys = await build("toys", { entry });
  reporting = await build("toys", { entry, race: true });
});

const calls = (...list: (readonly [string, ...number[]])[]): Script<unknown> =>
  function* script({ notes }) {
    for (const [name, ...args] of list) notes.push(yield call(name, ...args));
    return notes.at(-1);
  };

const plain = (threads: Script<unknown>[], more: Partial<Case> = {}): Case => ({
  name: "toy",
  setup: () => 0,
  threads,
  ...more,
});

/** Thread a pops; thread b pops twice and pushes the first node back. No node may be popped twice, or lost. */
const stack = (kind: "stack" | "tagged"): Case =>
  plain(
    [
      calls([`${kind}_pop`]),
      function* back() {
        const first = yield call(`${kind}_pop`);
        const second = yield call(`${kind}_pop`);
        yield call(`${kind}_push`, first);
        return second;
      },
    ],
    {
      setup: ([core]) => core!["stack_init"]!(3),
      check: ({ cores, results }) => {
        const nodes = [...(results as number[])];
        while (nodes.length < 10 && nodes.at(-1) !== 0) nodes.push(cores[0]![`${kind}_pop`]!());
        nodes.pop();
        return nodes.toSorted().join() === "1,2,3" ? undefined : `nodes ${nodes.join()}`;
      },
    },
  );

/** Thread a moves a thing, and may die; thread b must then find it. */
const move = (how: string): Case =>
  plain(
    [
      calls([how]),
      function* heir() {
        yield gone(0);
        return yield call("things");
      },
    ],
    {
      setup: (_cores, memory) => memory.setUint32(5120, 7, true),
      fatal: 0,
      check: ({ results, dead }) => (results[1] === 7 ? undefined : `${results[1]} after the death of ${dead}`),
    },
  );

/** Two threads add 1 each. */
const sum = (how: string): Case =>
  plain([calls([how]), calls([how])], {
    check: ({ memory }) => (memory.getUint32(2048, true) === 2 ? undefined : "lost"),
  });

const modes: [string, Options][] = [
  ["all", { mode: "all" }],
  ["two preemptions", { mode: { preemptions: 2 } }],
  ["random", { mode: { random: 500, seed: 7 } }],
];

describe.each(modes)("search: %s", (_, options) => {
  test("finds ABA in a stack without a tag", () => {
    const { fault, complete } = search(toys, stack("stack"), options);
    expect(fault?.message).toMatch(/^nodes /);
    expect(complete).toBe(false);
    // The schedule replays it.
    expect(replay(toys, stack("stack"), fault!.schedule)).toEqual({ message: fault!.message, trace: fault!.trace });
    expect(fault!.trace).toMatch(/^ +\d+ [ab] change {2}0x0\/4 1 -> 2 {2}stack_pop\(\)$/m);
  });

  test("finds no fault in a stack with a tag", () => {
    const outcome = search(toys, stack("tagged"), options);
    expect(outcome.fault).toBeUndefined();
    expect(outcome.complete).toBe(true);
    expect(outcome.schedules).toBeGreaterThan(10);
  });

  test("finds a lost wake-up", () => {
    const toy = plain([calls(["sleepy_take"]), calls(["sleepy_give"])]);
    expect(search(toys, toy, options).fault?.message).toBe("deadlock: a sleeps at 0x408");
  });

  test("finds no fault where no wake-up is lost", () => {
    const takes = calls(["wakeful_take", Infinity], ["wakeful_take", Infinity]);
    const toy = plain([takes, calls(["wakeful_give"], ["wakeful_give"])]);
    expect(search(toys, toy, options).fault).toBeUndefined();
  });

  test("finds a lost addition", () => {
    expect(search(toys, sum("torn_add"), options).fault?.message).toBe("lost");
    expect(search(toys, sum("whole_add"), options).fault).toBeUndefined();
  });

  test("finds a death between two changes", () => {
    const { fault } = search(toys, move("carry"), options);
    expect(fault?.message).toBe("0 after the death of 0");
    expect(fault?.schedule).toMatch(/^a2xb/);
    expect(search(toys, move("carry_safely"), options).fault).toBeUndefined();
  });
});

describe("search of all", () => {
  test("reaches both outcomes of a timeout", () => {
    const seen = new Set<unknown>();
    const toy = plain([calls(["wakeful_take", 5]), calls(["wakeful_give"])], {
      check: ({ results }) => void seen.add(results[0]),
    });
    expect(search(toys, toy)).toMatchObject({ complete: true });
    expect([...seen].toSorted()).toEqual([0, 1]);
  });

  test("reaches every outcome of two threads that store and then load", () => {
    const seen = new Set<string>();
    const toy = plain([calls(["see", 0]), calls(["see", 1])], {
      check: ({ results }) => void seen.add(results.join()),
    });
    search(toys, toy);
    expect([...seen].toSorted()).toEqual(["0,1", "1,0", "1,1"]);
  });

  test("runs independent threads in one schedule", () => {
    const toy = plain([calls(["busy", 0, 9]), calls(["busy", 4, 9]), calls(["busy", 8, 9])]);
    expect(search(toys, toy)).toMatchObject({ complete: true, schedules: 1, cut: 0 });
  });

  test("lets scripts wait for each other", () => {
    const toy = plain([
      function* give() {
        yield post("box", yield call("add", 0, 5));
      },
      function* get() {
        return yield take("box");
      },
      function* forget() {
        yield take("another box");
      },
    ]);
    expect(search(toys, toy).fault?.message).toBe('deadlock: c waits for "another box"');
  });

  test("stops between plain accesses on request", () => {
    expect(search(reporting, sum("plain_add"))).toMatchObject({ complete: true, schedules: 1 });
    expect(search(reporting, sum("plain_add"), { stops: /^plain_add \S+toys.ts:/ }).fault?.message).toBe("lost");
    expect(search(toys, move("carry_plainly")).fault).toBeUndefined();
    expect(search(reporting, move("carry_plainly")).fault?.message).toBe("0 after the death of 0");
    expect(search(reporting, move("carry_safely")).fault).toBeUndefined();
  });

  test.each([0, 1])("finds that a loop waits for a dead thread (the loop reports itself: %i)", (told) => {
    const lock: Case = plain([calls(["spin_add", told]), calls(["spin_add", told])], {
      check: ({ memory }) => (memory.getUint32(2048, true) === 2 ? undefined : "lost"),
    });
    expect(search(toys, lock)).toMatchObject({ complete: true });
    expect(search(toys, { ...lock, fatal: 0 }).fault?.message).toBe("deadlock: b spins at 0x804");
  });

  test("reports traps, errors of the check and endless runs as faults", () => {
    const message = (more: Partial<Case>, ...threads: Script<unknown>[]): string | undefined =>
      search(toys, plain(threads, more), { schedules: 10 }).fault?.message;
    expect(message({}, calls(["get", 1 << 20]))).toMatch(/^RuntimeError: memory access out of bounds < get$/);
    const check = (): never => {
      throw new Error("not so");
    };
    expect(message({ check }, calls(["get", 0]))).toBe("Error: not so");
    expect(message({ monitor: () => ({ begin() {}, step() {}, end: () => "never" }) }, calls(["get", 0]))).toBe(
      "never",
    );
    expect(message({}, calls(["busy", 0, 20_000]))).toBe("more than 10000 steps");
  });

  /** Tries every choice at every step: the reduced search must not miss any of its outcomes. */
  class Every implements Explorer {
    readonly lateDeath = false;
    private readonly left: number[] = [];

    choose({ steps }: Machine<never>, enabled: number): number {
      this.left[steps] ??= enabled;
      return 31 - Math.clz32(this.left[steps]);
    }

    another({ steps }: Machine<never>): boolean {
      this.left.length = steps;
      while (this.left.length) {
        const left = this.left.pop()!;
        const rest = left & ~(1 << (31 - Math.clz32(left)));
        if (rest) return Boolean(this.left.push(rest));
      }
      return false;
    }
  }

  test("finds the outcomes of all schedules of random programs", () => {
    let state = 12345;
    const below = (n: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state >>> 8) % n;
    };
    const actions: (() => Action)[] = [
      () => call("get", below(2)),
      () => call("put", below(2), below(4)),
      () => call("add", below(2), 1),
      () => call("swap", below(2), below(2), below(4)),
      () => call("sleep", below(2), below(2), below(2) ? Infinity : 1),
      () => call("wake", below(2)),
      () => post("box", below(4)),
      () => take("box"),
      () => gone(0),
    ];
    const of = (list: readonly Action[]): Script<unknown> =>
      function* script({ notes }) {
        for (const action of list) notes.push(yield action);
      };
    let reduced = 0;
    let every = 0;
    for (let program = 0; program < 100; program++) {
      const lists = (below(2) ? [2, 2, 2] : [4, 4]).map((length) =>
        Array.from({ length }, () => actions[below(actions.length)]!()),
      );
      const threads = plain(lists.map(of), below(3) ? {} : { fatal: 0 });
      const outcomes = (mode: NonNullable<Options["mode"]>): { seen: string[]; schedules: number } => {
        const seen = new Set<string>();
        const each: Options["each"] = ({ notes, dead, memory }, fault) =>
          void seen.add(
            JSON.stringify([fault, notes, dead, memory.getUint32(8192, true), memory.getUint32(8196, true)]),
          );
        const { schedules, cut } = search(toys, threads, { mode, each });
        return { seen: [...seen].toSorted(), schedules: schedules + cut };
      };
      const brute = outcomes(new Every());
      const clever = outcomes("all");
      expect(clever.seen, JSON.stringify(lists)).toEqual(brute.seen);
      expect(outcomes({ preemptions: 100 }).seen, JSON.stringify(lists)).toEqual(brute.seen);
      every += brute.schedules;
      reduced += clever.schedules;
    }
    expect(every).toBeGreaterThan(5 * reduced);
  });
});

describe("data races", () => {
  const find = (...threads: Script<unknown>[]): string | undefined =>
    search(reporting, plain(threads), { observer: races(reporting) }).fault?.message;

  test("are found between unordered plain accesses", () => {
    expect(find(calls(["plain_add"]), calls(["plain_add"]))).toMatch(
      /^data race at 0x800: a's store in plain_add \S+toys.ts:\d+:2 and b's load in plain_add \S+toys.ts:\d+:\d+$/,
    );
  });

  test("are not found between plain accesses under a lock", () => {
    expect(find(calls(["locked_add"]), calls(["locked_add"], ["locked_add"]))).toBeUndefined();
    expect(find(calls(["torn_add"]), calls(["whole_add"]))).toBeUndefined();
  });

  test("are found between a plain and an atomic access", () => {
    expect(find(calls(["plain_add"]), calls(["whole_add"]))).toMatch(/^data race at 0x800: .*atomic (load|store)/);
  });

  test("are not found where an atomic store publishes the data", () => {
    expect(find(calls(["fill", 1]), calls(["read"]))).toBeUndefined();
    expect(find(calls(["fill", 1]), calls(["read_early"]))).toMatch(/^data race at 0xc08: .* in read_early /);
  });

  test("are not found where a script's action publishes the data", () => {
    const first = (then: Action[]): Script<unknown> =>
      function* script() {
        yield call("plain_add");
        for (const action of then) yield action;
      };
    const second = (before: Action[]): Script<unknown> =>
      function* script() {
        for (const action of before) yield action;
        yield call("plain_add");
      };
    expect(find(first([post("done", 1)]), second([take("done")]))).toBeUndefined();
    expect(find(first([]), second([gone(0)]))).toBeUndefined();
    expect(find(first([call("put", 0, 1), call("wake", 0)]), second([call("sleep", 0, 0, Infinity)]))).toBeUndefined();
    expect(find(first([post("done", 1)]), second([]))).toMatch(/^data race/);
  });

  test("are not found in guesses", () => {
    expect(search(reporting, stack("tagged"), { observer: races(reporting) }).fault).toBeUndefined();
    const exempt = [
      { site: /^. *'s load in read_early /, reason: "for this test" },
      { site: /read_early/, reason: "" },
    ];
    const toy = plain([calls(["fill", 1]), calls(["read_early"])]);
    expect(search(reporting, toy, { observer: races(reporting, exempt) }).fault).toBeUndefined();
  });
});
