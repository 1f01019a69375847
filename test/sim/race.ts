/**
 * Finds data races in the runs of the `race` variant: two accesses by different threads to the same byte, at least one of
 * them plain and at least one of them a write, that nothing orders. These order two accesses (memory model of the threads
 * proposal):
 * - program order within a thread;
 * - an atomic write, and an atomic read of the same bytes that sees it, also through compare-exchanges in between. A failed
 *   compare-exchange is a read; here, so is one that changes nothing;
 * - notify, and the wake-up by it; in scripts, post and take, and the end or death of a thread and a wait for that.
 *
 * Guesses (assembly/base/atomics.ts) are exempt: the value they read means nothing by itself. They order nothing.
 */
import type { SimBuild, Site } from "./build.ts";
import { CHANGE, DEATH, END, LOAD, NOTIFY, STORE, UNTIL_ZERO, WAIT, WAKE, type Observer } from "./script.ts";

/** A known, harmless race. */
export interface Exemption {
  /** The site of one of the two accesses: matches `function file:line:column`. */
  readonly site: RegExp;
  readonly reason: string;
}

/** A value for the search's option `observer`. */
export function races({ sites }: SimBuild, exemptions: readonly Exemption[] = []) {
  return (threads: number, memory: DataView): Observer => new Races(sites, exemptions, threads, memory);
}

const PLAIN_READ = 0;
const PLAIN_WRITE = 1;
const ATOMIC_READ = 2;
const ATOMIC_WRITE = 3;
const CONFLICTS = [
  [PLAIN_WRITE, ATOMIC_WRITE],
  [PLAIN_READ, PLAIN_WRITE, ATOMIC_READ, ATOMIC_WRITE],
  [PLAIN_WRITE],
  [PLAIN_READ, PLAIN_WRITE],
] as const;

const NO_SITE = -1;

class Races implements Observer {
  private readonly sites: readonly Site[];
  private readonly exemptions: readonly Exemption[];
  private readonly threads: number;
  private readonly memory: DataView;
  /** At [t * threads + u]: the time of u up to which all of u's accesses are ordered before t's next one. */
  private readonly clock: Float64Array;
  /** By key of the bytes written: the clock that an atomic read of them takes over. */
  private readonly released = new Map<number, Float64Array>();
  /** At [(kind * threads + t) * bytes of memory + address]: the time and the site of t's last such access. */
  private readonly time: Uint32Array;
  private readonly site: Int32Array;
  /** A change that has begun: its end shows whether it writes. */
  private change: { thread: number; address: number; bytes: number; before: number | bigint } | undefined;
  private found: string | undefined;

  constructor(sites: readonly Site[], exemptions: readonly Exemption[], threads: number, memory: DataView) {
    this.sites = sites;
    this.exemptions = exemptions;
    this.threads = threads;
    this.memory = memory;
    this.clock = new Float64Array(threads * threads);
    this.time = new Uint32Array(4 * threads * memory.byteLength);
    this.site = new Int32Array(this.time.length);
  }

  /** Time goes on from run to run, so accesses of earlier runs are ordered before all others. */
  begin(): void {
    const latest = Math.max(...this.clock);
    this.clock.fill(latest);
    for (let t = 0; t < this.threads; t++) this.clock[t * this.threads + t] = latest + 1;
    this.released.clear();
    this.change = undefined;
    this.found = undefined;
  }

  event(thread: number, kind: number, address: number, bytes: number): void {
    this.settle();
    if (kind === DEATH) this.release(-1 - address, key(address, bytes), false);
    else if (kind === NOTIFY) this.release(thread, key(address, 0), true);
    else if (kind === WAKE) this.acquire(thread, key(address, 0));
    else if (kind === STORE || kind === END) {
      if (address >= 0) this.note(thread, ATOMIC_WRITE, NO_SITE, address, bytes);
      this.release(thread, key(address, bytes), false);
    } else if (kind === LOAD || kind === WAIT || kind === UNTIL_ZERO) {
      if (address >= 0) this.note(thread, ATOMIC_READ, NO_SITE, address, bytes);
      this.acquire(thread, key(address, bytes));
    } else if (kind === CHANGE) {
      this.acquire(thread, key(address, bytes));
      this.change = { thread, address, bytes, before: this.value(address, bytes) };
    }
  }

  access(thread: number, site: number, address: number, bytes: number): void {
    this.settle();
    const { atomic, store } = this.sites[site]!;
    // An atomic access has been an event already.
    if (!atomic) this.note(thread, store ? PLAIN_WRITE : PLAIN_READ, site, address, bytes);
  }

  end(): string | undefined {
    this.settle();
    return this.found;
  }

  private settle(): void {
    if (!this.change) return;
    const { thread, address, bytes, before } = this.change;
    this.change = undefined;
    const writes = this.value(address, bytes) !== before;
    this.note(thread, writes ? ATOMIC_WRITE : ATOMIC_READ, NO_SITE, address, bytes);
    if (writes) this.release(thread, key(address, bytes), true);
  }

  private value(address: number, bytes: number): number | bigint {
    if (address + bytes > this.memory.byteLength) return 0;
    if (bytes === 8) return this.memory.getBigUint64(address, true);
    if (bytes === 4) return this.memory.getUint32(address, true);
    return bytes === 2 ? this.memory.getUint16(address, true) : this.memory.getUint8(address);
  }

  private acquire(thread: number, from: number): void {
    const { clock, threads } = this;
    const other = this.released.get(from);
    if (!other) return;
    for (let t = 0; t < threads; t++) {
      const at = thread * threads + t;
      if (other[t]! > clock[at]!) clock[at] = other[t]!;
    }
  }

  /** `keep`: a reader is ordered also after what was released there before. */
  private release(thread: number, to: number, keep: boolean): void {
    const { clock, threads } = this;
    const own = clock.slice(thread * threads, (thread + 1) * threads);
    const old = keep && this.released.get(to);
    if (old) for (let t = 0; t < threads; t++) own[t] = Math.max(own[t]!, old[t]!);
    this.released.set(to, own);
    clock[thread * threads + thread]!++;
  }

  private note(thread: number, kind: number, site: number, address: number, bytes: number): void {
    const { threads, clock, time, memory } = this;
    const size = memory.byteLength;
    for (const other of CONFLICTS[kind]!) {
      for (let t = 0; t < threads; t++) {
        if (t === thread) continue;
        const before = clock[thread * threads + t]!;
        const from = (other * threads + t) * size + address;
        for (let at = from; at < from + bytes; at++) {
          if (time[at]! > before) this.race(thread, kind, site, t, other, this.site[at]!, address + at - from);
        }
      }
    }
    const from = (kind * threads + thread) * size + address;
    time.fill(clock[thread * threads + thread]!, from, from + bytes);
    this.site.fill(site, from, from + bytes);
  }

  private race(a: number, kindA: number, siteA: number, b: number, kindB: number, siteB: number, at: number): void {
    const one = this.describe(b, kindB, siteB);
    const two = this.describe(a, kindA, siteA);
    if (this.exemptions.some(({ site }) => site.test(one) || site.test(two))) return;
    this.found ??= `data race at 0x${at.toString(16)}: ${one} and ${two}`;
  }

  private describe(thread: number, kind: number, site: number): string {
    const what = kind === PLAIN_READ || kind === ATOMIC_READ ? "load" : "store";
    const who = String.fromCharCode(97 + thread);
    if (site === NO_SITE) return `${who}'s atomic ${what}`;
    return `${who}'s ${what} in ${this.sites[site]!.name} ${this.sites[site]!.where}`;
  }
}

/** Atomic operations see each other if they access the same bytes; 0 bytes stand for notify. */
function key(address: number, bytes: number): number {
  return address * 16 + bytes;
}
