/**
 * Messages of 256 bytes from one thread to another, through a ring in shared memory. An entry of the ring is the address of
 * an element, or the message itself, without an allocator.
 *
 *   | written | ... | read | ... | entry 0 | entry 1 | ...
 *   ^ 0             ^ 128        ^ 256
 *
 * Each counter has cache lines of its own. Both sides spin, and then sleep for short times.
 */
import { allocInline, freeInline, Magazine } from "./core";

const READ: usize = 128;
const ENTRIES: usize = 256;
const CAPACITY: u32 = 1024;
const MESSAGE: usize = 256;
const LOOKS: u32 = 20000;
const NAP: i64 = 50000;

/** Waits until the counter is no longer `seen`, and returns it. */
function change(counter: usize, seen: u32): u32 {
  let now = seen;
  for (let looks: u32 = 0; now == seen; looks++) {
    if (looks > LOOKS) atomic.wait<u32>(counter, seen, NAP);
    now = atomic.load<u32>(counter);
  }
  return now;
}


@inline
function write(message: usize, i: u32): void {
  for (let at: usize = 0; at < MESSAGE; at += 8) store<f64>(message + at, <f64>i);
}


@inline
function read(message: usize): f64 {
  let sum: f64 = 0;
  for (let at: usize = 0; at < MESSAGE; at += 8) sum += load<f64>(message + at);
  return sum;
}

export function send(pool: Magazine, n: u32, ring: usize): void {
  let written = atomic.load<u32>(ring);
  let seen = atomic.load<u32>(ring + READ);
  for (let i: u32 = 0; i < n; i++) {
    while (written - seen == CAPACITY) seen = change(ring + READ, seen);
    const element = allocInline(pool);
    if (!element) unreachable();
    write(element, i);
    store<u32>(ring + ENTRIES + ((written & (CAPACITY - 1)) << 2), element);
    atomic.store<u32>(ring, ++written);
  }
}

export function receive(pool: Magazine, n: u32, ring: usize): f64 {
  let taken = atomic.load<u32>(ring + READ);
  let seen = taken;
  let sum: f64 = 0;
  for (let i: u32 = 0; i < n; i++) {
    while (taken == seen) seen = change(ring, seen);
    const element = load<u32>(ring + ENTRIES + ((taken & (CAPACITY - 1)) << 2));
    sum += read(element);
    if (freeInline(pool, element)) unreachable();
    atomic.store<u32>(ring + READ, ++taken);
  }
  return sum;
}

export function sendSlots(n: u32, ring: usize): void {
  let written = atomic.load<u32>(ring);
  let seen = atomic.load<u32>(ring + READ);
  for (let i: u32 = 0; i < n; i++) {
    while (written - seen == CAPACITY) seen = change(ring + READ, seen);
    write(ring + ENTRIES + <usize>(written & (CAPACITY - 1)) * MESSAGE, i);
    atomic.store<u32>(ring, ++written);
  }
}

export function receiveSlots(n: u32, ring: usize): f64 {
  let taken = atomic.load<u32>(ring + READ);
  let seen = taken;
  let sum: f64 = 0;
  for (let i: u32 = 0; i < n; i++) {
    while (taken == seen) seen = change(ring, seen);
    sum += read(ring + ENTRIES + <usize>(taken & (CAPACITY - 1)) * MESSAGE);
    atomic.store<u32>(ring + READ, ++taken);
  }
  return sum;
}
