/** How a thread learns of another's end by Web Locks, which Node has none of: these are a test's own. */
import { afterEach, expect, test, vi } from "vitest";
import { Lives, livesBytes } from "../../src/shared/lives.ts";
import { until } from "./helpers.ts";

afterEach(() => vi.unstubAllGlobals());

const LOCK = 4;
const HELD = 1;

test("a thread that gets its lock just after another looked for it has not ended", async () => {
  const buffer = new SharedArrayBuffer(livesBytes);
  const words = new Int32Array(buffer);
  /** The other thread: it has a number, and no lock yet. */
  const other = 1;
  const asked: string[] = [];
  let end!: () => void;
  const ending = new Promise<void>((resolve) => (end = resolve));
  async function request(
    name: string,
    { mode = "exclusive", ifAvailable = false }: { mode?: string; ifAvailable?: boolean },
    listener: (lock: unknown) => unknown,
  ): Promise<unknown> {
    if (name !== `id ${LOCK}`) return listener({});
    asked.push(`${mode}${ifAvailable ? ", if available" : ""}`);
    const isHeld = (words[1 + other]! & HELD) !== 0;
    if (!ifAvailable) await ending;
    const answer = await listener(isHeld && ifAvailable ? null : {});
    // Let go of; and before the caller runs on, the other thread has it.
    words[1 + other] = LOCK | HELD;
    return answer;
  }
  // Of Node's workers the host tells; of Deno's the locks do.
  vi.stubGlobal("Deno", {});
  vi.stubGlobal("navigator", { locks: { request, query: async () => ({}) } });
  const lives = new Lives("id", buffer, { core: { heap_thread: () => 0 } } as never, 1);
  words[1 + other] = LOCK;
  let hasEnded = false;
  const ended = lives.ended(other).then(() => (hasEnded = true));
  await until(() => asked.length === 3 || hasEnded);
  expect(asked).toEqual(["shared, if available", "shared, if available", "shared"]);
  expect([hasEnded, lives.mayRun(other)]).toEqual([false, true]);
  end();
  await ended;
  expect(lives.mayRun(other)).toBe(false);
});
