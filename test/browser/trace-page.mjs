/** A page whose heap is traced: it grows, makes slabs, needs the reserve, fails, reclaims and waits. */
import { createHeap } from "../../src/index.ts";
import { trace } from "../../src/inspect.ts";

const heap = createHeap({ maximum: 2 ** 22 });
const events = [];
// As by default, but told here too.
const stop = trace(heap, { everyMs: 10 });
const stopTelling = trace(heap, { everyMs: 10, to: ({ kind, pool }) => events.push(`${kind} ${pool}`) });
const jobs = heap.create({ size: 64, minNr: 2, maxNr: 4, name: "jobs" });
const frames = heap.create({ size: 2 ** 16, minNr: 0, name: "frames" });
for (let i = 0; i < 20; i++) frames.alloc();
const held = Array.from({ length: 5 }, () => jobs.alloc());
await jobs.allocAsync({ timeout: 30 }).catch(() => {});
// The wait begins before the timer: however slow the page is, it lasts as long.
const waiting = jobs.allocAsync({ timeout: 60_000 });
setTimeout(() => jobs.free(held[0]), 20);
await waiting;
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
while (events.filter((each) => each === "wait jobs").length < 2) await sleep(10);
// The other trace looks within the next ten milliseconds.
await sleep(100);
stop();
stopTelling();
const left = performance.getEntriesByType("measure").length;
await fetch("/", { method: "POST", body: JSON.stringify({ events, left }) });
