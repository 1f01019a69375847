/** A debug heap as this thread sees it: it tells the core where calls come from, and the program what the core has found. */
import { SCRATCH_WORDS } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";
import type {
  AttachDebugOptions,
  DamageReport,
  DebuggedPool,
  DebugHeap,
  DebugOptions,
  Trace,
} from "../core/debug-types.ts";
import { report as reportError, startInterval } from "../core/timers.ts";
import { boolean, checkOptions, hex, integer, invalid, isUint32, show } from "../core/validate.ts";
import { guardPlace, type DebugCore } from "./cursors.ts";
import { framesOf, rawStack } from "./stack.ts";

/** The reports that `check` lists again. */
const KEPT = 64;
const LIVE = 0x80;
const UNKNOWN = 0xff;
/** Where debug_trace writes the time of the alloc, in words of 8 bytes. */
const TIME = 5;
/** Words of a Report of assembly/base/layout.ts. */
const REPORT = 18;
/** Stacks whose sites this thread remembers; beyond, it begins anew. */
const STACKS = 4096;
/** Bytes of a Site in front of its text: Site of assembly/base/layout.ts. */
const SITE_LENGTH = 8;
const SITE_TEXT = 12;
const kinds = ["trace", "underrun", "overrun", "write-after-free", "trace"] as const;

/** In place of a site: the core is to ask. */
const ASK = 1;

const optionNames = ["onDamage", "stacks", "everyMs", "sample"] as const;

export function checkDebugOptions(apiName: string, options: true | DebugOptions): DebugOptions {
  if (options === true) return {};
  const what = `${apiName}: debug`;
  if (typeof options !== "object" || options === null)
    invalid(`${what} must be a boolean or an object, got ${show(options)}`);
  const checked = checkOptions(what, options, optionNames);
  const { onDamage, stacks = true, everyMs, sample } = checked;
  if (onDamage !== undefined && typeof onDamage !== "function")
    invalid(`${apiName}: debug.onDamage must be a function, got ${show(onDamage)}`);
  boolean(apiName, "debug.stacks", stacks);
  if (everyMs !== undefined) integer(apiName, "debug.everyMs", everyMs, 1, 2 ** 31 - 1);
  if (sample !== undefined) integer(apiName, "debug.sample", sample, 1, 2 ** 31 - 1);
  return checked;
}

export const startDebugHeap = (context: HeapContext, options: DebugOptions): DebugHeap =>
  new Debugger(context, options);

class Debugger implements DebugHeap {
  readonly #heap: HeapContext;
  readonly #core: DebugCore;
  #onDamage!: (report: DamageReport) => void;
  #stacks!: boolean;
  readonly #sites = new Map<string, number>();
  readonly #kept: DamageReport[] = [];
  #stop: (() => void) | undefined;
  readonly samples: boolean;
  #tag: string | undefined;
  /** What the tag says, without stacks. */
  #tagSite = 0;

  constructor(heap: HeapContext, options: DebugOptions) {
    this.#heap = heap;
    this.#core = heap.core as DebugCore;
    this.use(options);
    const { sample = 0 } = options;
    // A heap that this thread has joined has its rate already.
    this.samples = this.#core.debug_sample(sample) > 0;
    if (this.samples) this.#core.debug_use(ASK);
    else heap.views.guard = (place) => guardPlace(heap, (address) => this.#stateOf(address), place);
  }

  use({ onDamage, stacks = true, everyMs }: AttachDebugOptions): void {
    this.#onDamage = onDamage ?? (({ message }) => globalThis.console?.error(message));
    this.#stacks = stacks;
    const look = () => {
      this.#core.debug_check();
      this.settle();
    };
    this.#stop?.();
    this.#stop = everyMs === undefined ? undefined : startInterval(everyMs, false, look);
  }

  enter(pool: DebuggedPool, apiName: string, count: number): boolean {
    if (this.samples && !this.#core.debug_due(pool.handle, count)) return false;
    this.tick();
    this.answer(pool, apiName);
    return true;
  }

  enterFree(pool: DebuggedPool, apiName: string): void {
    if (!this.samples) this.answer(pool, apiName);
  }

  tick(): void {
    // The one clock that all threads share, and that each has, also an AudioWorklet.
    this.#core.debug_clock(Date.now());
  }

  answer({ front }: DebuggedPool, apiName: string): void {
    if (!this.#stacks) return this.#core.debug_use(this.#tagSite);
    const stack = rawStack((front as Record<string, unknown>)[apiName]);
    let site = this.#sites.get(stack);
    if (site === undefined) {
      const frames = framesOf(stack);
      site = this.#intern(this.#tag === undefined ? frames : `[${this.#tag}]\n${frames}`);
      if (this.#sites.size >= STACKS) this.#sites.clear();
      this.#sites.set(stack, site);
    }
    this.#core.debug_use(site);
  }

  tag(text: string | undefined): void {
    this.#tag = text;
    this.#sites.clear();
    this.#tagSite = text === undefined ? 0 : this.#intern(`[${text}]`);
  }

  settle(): void {
    const { scratch, views } = this.#heap;
    if (this.samples && !this.#heap.hasEnded) this.#core.debug_use(ASK);
    while (!this.#heap.hasEnded && this.#core.debug_report(scratch)) {
      const report = this.#read(views.refresh().u32.slice(scratch / 4, scratch / 4 + REPORT));
      if (this.#kept.push(report) > KEPT) this.#kept.shift();
      try {
        this.#onDamage(report);
      } catch (error) {
        reportError(error);
      }
    }
  }

  check(): string[] {
    this.#core.debug_check();
    this.settle();
    return this.#kept.map(({ message }) => message);
  }

  traceOf(address: number): Trace | undefined {
    const words = this.#words(address);
    if (!words) return undefined;
    const trace = this.#traceIn(words[3]!, words[4]!, words[5]!, words[6]!, words[7]!, words[8]!);
    const [element, size, state] = words as unknown as [number, number, number];
    const allocTime = this.#heap.views.f64[(this.#heap.scratch >>> 3) + TIME] || undefined;
    return { address: element, size, isLive: state >= LIVE, allocTime, ...trace };
  }

  historyOf(address: unknown): string {
    const trace = isUint32(address) && !this.#heap.hasEnded ? this.traceOf(address) : undefined;
    return trace && trace.generation > 0 ? `\n${historyOf(trace)}` : "";
  }

  end(): void {
    this.#stop?.();
  }

  #words(address: number): Uint32Array | undefined {
    const { scratch, views } = this.#heap;
    if (!this.#core.debug_trace(address | 0, scratch)) return undefined;
    return views.refresh().u32.subarray(scratch / 4, scratch / 4 + 10);
  }

  /** The same as traceOf without its texts, for each access of a cursor. */
  #stateOf(address: number): Trace | undefined {
    const words = this.#words(address);
    if (!words) return undefined;
    // The sequence tells allocs apart: a generation begins anew when the slab goes back to pages.
    const [element, size, state, , , , , allocSequence] = words as unknown as number[];
    // The zones are no part of the element; a cursor that walks memory may be there.
    if (address < element! || address >= element! + size!) return undefined;
    return { address: element!, size: size!, isLive: state! >= LIVE, allocSequence: allocSequence! } as Trace;
  }

  #intern(text: string): number {
    const { scratch, views } = this.#heap;
    const { u8 } = views.refresh();
    let n = 0;
    // Without TextEncoder, which an AudioWorklet lacks.
    for (const [code] of encodeURIComponent(text).matchAll(/%..|./g)) {
      if (n === SCRATCH_WORDS * 4) break;
      u8[scratch + n++] = code.length === 1 ? code.charCodeAt(0) : parseInt(code.slice(1), 16);
    }
    return this.#core.debug_site(scratch, n) >>> 0;
  }

  #textOf(site: number): string {
    if (site === 0) return "";
    const { u8, u32 } = this.#heap.views.refresh();
    const length = u32[(site + SITE_LENGTH) >>> 2]!;
    let text = "";
    for (let i = 0; i < length; i++) text += `%${u8[site + SITE_TEXT + i]!.toString(16).padStart(2, "0")}`;
    // The text may have been cut inside a character.
    for (const end of [text.length, -3, -6, -9]) {
      try {
        return decodeURIComponent(text.slice(0, end));
      } catch {
        // One byte less.
      }
    }
    return "";
  }

  #traceIn(
    allocSite: number,
    freeSite: number,
    threads: number,
    generation: number,
    alloc: number,
    free: number,
  ): NonNullable<DamageReport["trace"]> {
    return {
      generation,
      allocSequence: alloc,
      freeSequence: free,
      allocThread: threadOf(threads & 0xff),
      freeThread: threadOf((threads >> 8) & 0xff),
      allocSite: this.#textOf(allocSite),
      freeSite: this.#textOf(freeSite),
    };
  }

  #read(w: Uint32Array): DamageReport {
    const kind = kinds[w[1]!] ?? "trace";
    const [pool, address, size, length, thread] = [this.#nameOf(w[2]!), w[3]!, w[4]!, w[6]!, w[7]!];
    const offset = w[5]! | 0;
    const bytes = new Uint8Array(w.buffer, w.byteOffset + 32, Math.min(16, length));
    const trace = w[15]! > 0 ? this.#traceIn(w[12]!, w[13]!, w[14]!, w[15]!, w[16]!, w[17]!) : undefined;
    const report = { kind, pool, address, size, offset, length, bytes, thread, trace };
    return { ...report, message: messageOf(report) };
  }

  #nameOf(pool: number): string {
    for (const each of this.#heap.pools) if (this.#core.debug_pool(each.handle) >>> 0 === pool) return each.name;
    return hex(pool);
  }
}

const indent = (text: string): string => text.replaceAll(/^/gm, "    ");

const threadOf = (number: number): number | undefined => (number === UNKNOWN ? undefined : number);

const step = (what: string, thread: number | undefined, sequence: number, site: string): string =>
  `  ${what} by thread ${thread ?? "?"}, step ${sequence}${site === "" ? "" : `, at\n${indent(site)}`}`;

function historyOf(trace: NonNullable<DamageReport["trace"]>): string {
  const lines = [step("allocated", trace.allocThread, trace.allocSequence, trace.allocSite)];
  if (trace.freeSequence > 0) lines.push(step("freed", trace.freeThread, trace.freeSequence, trace.freeSite));
  return lines.join("\n");
}

function messageOf(report: Omit<DamageReport, "message">): string {
  const { kind, pool, address, size, offset, length, bytes, thread, trace } = report;
  const many = `${length} byte${length === 1 ? "" : "s"}`;
  const end = offset - size;
  const where = {
    overrun: `${many} written ${end === 0 ? "at" : `${end} behind`} the end of`,
    underrun: `${many} written ${-offset} before`,
    "write-after-free": `${many} written at offset ${offset}, after its free, to`,
    trace: "the trace is overwritten, by a write far behind the end, of",
  }[kind];
  const hexes = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const what = `${where} element ${hex(address)} (${size} bytes) of pool "${pool}": ${hexes}${length > 16 ? " …" : ""}`;
  return `wasm-mempool: ${what}; found by thread ${thread}${trace ? `\n${historyOf(trace)}` : ""}`;
}
