/**
 * The ring of a queue, in every order of its atomic operations with at most three switches between threads, and with a death
 * at each: no number is lost, none is popped twice, the threads that live come to their end, an empty ring has room, and
 * what one thread pushes comes in its order.
 *
 * Each method runs as a generator that stops before each atomic operation: the text of src/shared/ring.ts, so changed.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import ts from "typescript";
import { LEAST } from "../../src/shared/ring.ts";
import { random } from "./helpers.ts";

type Steps<T> = Generator<void, T>;
interface Ring {
  readonly words: Int32Array;
  clear(): void;
  push(number: number): Steps<boolean>;
  pop(): Steps<number>;
}

async function ringOfSteps(change = (text: string): string => text): Promise<new (...args: unknown[]) => Ring> {
  const url = new URL("../../src/shared/ring.ts", import.meta.url);
  const { outputText } = ts.transpileModule(change(readFileSync(url, "utf8")), {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 },
  });
  const stepping = outputText
    .replaceAll(/^ {4}(push|pop|#sweep|#markAfter|#advance|#wake)\(/gm, "    *$1(")
    .replaceAll(/this\.#(sweep|markAfter|advance|wake)\(([^()]*)\)/g, "(yield* this.#$1($2))")
    .replaceAll(/(?<=^ {8}.*)Atomics\.(load|compareExchange)\(/gm, "(yield, Atomics.$1)(")
    // clear, isClosed and the others run as they are.
    .replaceAll(/^( {4}(?:get |has|clear|close)[^]*?^ {4}})/gm, (method) => method.replaceAll("(yield, ", "("));
  return (await import(`data:text/javascript,${encodeURIComponent(stepping)}`)).Ring;
}

/** What a thread does, one after the other: a number to push, or 0 to pop. */
type Script = readonly number[];

interface Case {
  readonly name: string;
  readonly capacity: number;
  /** In the ring from the start. */
  readonly first: readonly number[];
  readonly threads: readonly Script[];
}

/** The most steps that a thread needs that runs alone. */
const ALONE = 400;

interface Run {
  /** Numbers that calls have pushed, and have popped, in the order of the ends of the calls. */
  readonly pushed: number[];
  readonly popped: number[];
  /** The numbers of calls that never ended. */
  readonly open: number[];
  readonly steps: number;
}

/** Runs a call alone. */
function finish<T>(steps: Steps<T>): T {
  for (let n = 0; ; n++) {
    const { done, value } = steps.next();
    if (done) return value;
    if (n > ALONE) throw new Error("a call does not end");
  }
}

/** `switches`: at these steps in all, the next thread runs. `death`: the step at which the running thread dies. */
function run(
  Class: new (...args: unknown[]) => Ring,
  { capacity, first, threads }: Case,
  switches: readonly number[],
  death: number,
  choose: () => number,
): Run {
  const ring = new Class(new ArrayBuffer(1024), 0, capacity);
  ring.clear();
  for (const number of first) finish(ring.push(LEAST + number));
  const pushed = [...first];
  const popped: number[] = [];
  const open: number[] = [];
  const dead = new Set<number>();
  function* thread(script: Script): Steps<void> {
    for (const number of script) {
      if (number > 0) open.push(number);
      if (number > 0) {
        if (yield* ring.push(LEAST + number)) pushed.push(number);
        open.splice(open.indexOf(number), 1);
      } else {
        const got = yield* ring.pop();
        if (got > 0) popped.push(got - LEAST);
      }
    }
  }
  const running = threads.map(thread);
  const left = new Set(running.keys());
  let current = 0;
  let steps = 0;
  let alone = 0;
  while (left.size > 0) {
    if (steps === death) {
      dead.add(current);
      left.delete(current);
    }
    if (!left.has(current) || switches.includes(steps)) {
      const others = [...left].filter((each) => each !== current);
      if (others.length > 0) current = others[choose() % others.length]!;
      alone = 0;
      if (left.size === 0) break;
    }
    steps++;
    if (alone++ > ALONE * 4) throw new Error("a thread does not come to its end");
    if (running[current]!.next().done) left.delete(current);
  }
  const isEmpty = ring.words.subarray(64).every((word) => word >>> 0 < LEAST);
  if (isEmpty && !finish(ring.push(LEAST + 99))) throw new Error("an empty ring has no room");
  if (isEmpty) pushed.push(99);
  for (let number = finish(ring.pop()); number > 0; number = finish(ring.pop())) popped.push(number - LEAST);
  return { pushed, popped, open: [...open], steps };
}

/** What is wrong with a run; `dies`: one number may be in the hands of the dead thread. */
function problemOf(
  { threads }: Case,
  { pushed, popped, open }: Run,
  dies: boolean,
  isOrdered: boolean,
): string | undefined {
  const twice = popped.find((number, i) => popped.indexOf(number) !== i);
  if (twice) return `${twice} popped twice`;
  const wrong = popped.find((number) => !pushed.includes(number) && !open.includes(number));
  if (wrong) return `${wrong} popped, and never pushed`;
  const lost = pushed.filter((number) => !popped.includes(number));
  if (lost.length > (dies ? 1 : 0)) return `${lost.join()} lost`;
  // The order of the ends of calls is that of pops only if one thread pops.
  if (!isOrdered || threads.filter((script) => script.includes(0)).length > 1) return undefined;
  for (const script of threads) {
    const order = popped.filter((number) => script.includes(number));
    const late = order.find((number, i) => i > 0 && script.indexOf(number) < script.indexOf(order[i - 1]!));
    if (late) return `${late} popped late: ${popped.join()}`;
  }
  return undefined;
}

const cases: readonly Case[] = [
  {
    name: "two push, one pops",
    capacity: 2,
    first: [],
    threads: [
      [1, 2],
      [3, 4],
      [0, 0, 0],
    ],
  },
  {
    name: "two pop, one pushes",
    capacity: 2,
    first: [1, 2],
    threads: [
      [0, 0],
      [0, 0],
      [3, 4, 5],
    ],
  },
  {
    name: "a ring of one",
    capacity: 1,
    first: [],
    threads: [
      [1, 0],
      [2, 0],
      [3, 0],
    ],
  },
  { name: "a ring of three in four slots", capacity: 3, first: [1, 2, 3], threads: [[0, 4, 0], [0, 5, 0], [6]] },
  {
    name: "one pushes, the other goes round",
    capacity: 2,
    first: [],
    threads: [
      [10, 11],
      [1, 0, 2, 0, 3, 0, 0, 0],
    ],
  },
  { name: "the same slot lap after lap", capacity: 2, first: [1], threads: [[0], [2, 0, 3, 0, 4, 0], [5]] },
];

function search(
  Class: new (...args: unknown[]) => Ring,
  each: Case,
  isOrdered = true,
): { runs: number; problem?: string } {
  const next = random(7);
  let runs = 0;
  const attempt = (switches: readonly number[], death: number): string | undefined => {
    runs++;
    const choices = switches.map((at) => at * 31 + death + 1);
    let i = 0;
    const found = run(Class, each, switches, death, () => choices[i++ % Math.max(1, choices.length)] ?? 0);
    const problem = problemOf(each, found, death >= 0, isOrdered);
    return problem && `${problem}: switches at ${switches.join()}, death at ${death}`;
  };
  const { steps } = run(Class, each, [], -1, () => 0);
  for (let a = 0; a <= steps + 8; a++) {
    for (let b = a; b <= steps + 8; b++) {
      const c = b + 1 + Math.floor(next() * (steps - b + 8));
      for (const death of [-1, a, b, a + 1 + Math.floor(next() * steps)]) {
        for (const more of [[], [c], [c, c + 1 + Math.floor(next() * 9)]]) {
          const problem = attempt(a === b ? [a, ...more] : [a, b, ...more], death);
          if (problem) return { runs, problem };
        }
      }
    }
  }
  return { runs };
}

/** As after exactly so many rounds. */
const unmarked = (text: string): string => text.replace("+ 1) % LEAST", "* 0) % LEAST");

describe("a queue's ring, step by step", () => {
  test.each(cases)("$name", async (each) => {
    const { runs, problem } = search(await ringOfSteps(), each);
    expect(problem).toBeUndefined();
    expect(runs).toBeGreaterThan(1000);
  });

  test("without marks, numbers may come late, and none is lost", async () => {
    const Class = await ringOfSteps(unmarked);
    for (const each of cases) expect(search(Class, each, false).problem).toBeUndefined();
  });

  const faults: [string, (text: string) => string][] = [
    [
      "a pop that does not move tail on first",
      (text) => text.replace("if (tail === head) this.#advance(TAIL, tail);", ""),
    ],
    [
      "a pop that writes its slot without a compare-exchange",
      (text) =>
        text.replace(
          "if (Atomics.compareExchange(words, slot, number, this.#markAfter(head)) !== number) continue;",
          "words[slot] = this.#markAfter(head);",
        ),
    ],
    [
      "a push that does not help",
      (text) => text.replace("        this.#advance(TAIL, tail);\n        continue;", "        continue;"),
    ],
    ["an empty slot without the mark of its round", unmarked],
    [
      "a push that does not look at tail again",
      (text) => text.replace("if (Atomics.load(words, TAIL) !== tail) continue;", ""),
    ],
    [
      "a ring without marks that is not swept",
      (text) => unmarked(text).replace("const stray = this.#sweep();", "const stray = 0;"),
    ],
    [
      "a full ring whose head stands still",
      (text) => text.replace("this.#mask)))) this.#advance(HEAD, head);", "this.#mask)))) return false;"),
    ],
  ];
  test.each(faults)("the search finds %s", async (_, change) => {
    const Class = await ringOfSteps((text) => {
      const changed = change(text);
      expect(changed).not.toBe(text);
      return changed;
    });
    const finds = (each: Case): boolean => {
      try {
        return search(Class, each, !change.toString().includes("sweep")).problem !== undefined;
      } catch {
        return true;
      }
    };
    expect(cases.some(finds)).toBe(true);
  });
});
