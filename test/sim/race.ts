/**
 * Finds data races in the runs of the `race` variant: two accesses by different threads to the same byte, at least one of
 * them plain and at least one of them a write, with nothing that puts one before the other. What does put an access
 * before another (memory model of the threads proposal):
 * - the order of its own thread;
 * - an atomic write and an atomic read of the same bytes that sees it, also through exchanges in between. A failed exchange
 *   is a read; so is here one that changes nothing;
 * - notify and the wake-up by it; among scripts, post and take, and the end or death of a thread and who waits for it.
 *
 * Guesses (assembly/atomics.ts) are exempt: what they read counts for nothing by itself. They put nothing before anything.
 */
import type { SimBuild, Site } from "./build.ts";
import { CHANGE, DEATH, END, LOAD, NOTIFY, STORE, UNTIL_ZERO, WAIT, WAKE, type Observer } from "./machine.ts";

/** A race that is known and harmless. */
export interface Exemption {
  /** Where one of the two is made: matches `function file:line:column`. */
  readonly site: RegExp;
  readonly reason: string;
}

/** For the search's option `observer`. */
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
  /** At [t * threads + u]: up to which time of u all is before what t does now. */
  private readonly clock: Float64Array;
  /** Clocks that an atomic read takes over, by what was written. */
  private readonly released = new Map<number, Float64Array>();
  /** At [(kind * threads + t) * bytes of memory + address]: the time of the last such access by t, and where it was made. */
  private readonly time: Uint32Array;
  private readonly site: Int32Array;
  /** A change that has begun: whether it writes is seen once it is over. */
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

  /** Time goes on from run to run: what is noted of earlier runs is before all. */
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
    // That one has been an event.
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

  /** `keep`: who reads it also comes after what was released there before. */
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

/** Atomics see each other if they are of the same bytes; 0 bytes stand for notify. */
function key(address: number, bytes: number): number {
  return address * 16 + bytes;
}
