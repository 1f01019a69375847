/**
 * Makes a wasm module count the instructions that it executes. Each basic block begins by adding its own counts to globals
 * that the module exports; nothing else changes. Counts are exact, and the same on every machine and engine.
 */

/** The counters, by the name of the export. */
export const counters = ["instructions", "accesses", "locked"];

const IMPORT = 2;
const GLOBAL = 6;
const EXPORT = 7;
const CODE = 10;
/** The order of sections in a module. 13: tags; 12: the number of data segments. */
const order = [1, 2, 3, 4, 5, 13, GLOBAL, EXPORT, 8, 9, 12, CODE, 11];

const op = {
  nop: 0x01,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  br_table: 0x0e,
  return: 0x0f,
  unreachable: 0x00,
};
/** Marks in the code that execute nothing. */
const marks = new Set([op.nop, op.block, op.loop, op.else, op.end]);
/** These end a basic block. */
const ends = new Set([op.loop, op.if, op.else, op.end, op.br, op.br_if, op.br_table, op.return, op.unreachable]);

class Reader {
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  byte() {
    if (this.at >= this.bytes.length) throw new Error("the module ends too early");
    return this.bytes[this.at++];
  }

  u32() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }

  /** A number of any length, signed or not. */
  skipNumber() {
    while (this.byte() >= 128);
  }

  skip(count) {
    this.at += count;
  }

  take(count) {
    const from = this.at;
    this.at += count;
    if (this.at > this.bytes.length) throw new Error("the module ends too early");
    return this.bytes.subarray(from, this.at);
  }
}

function unsigned(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

/** As the operand of i64.const: a sign bit of its own. */
function signed(value) {
  const bytes = [];
  for (; value > 63; value = Math.floor(value / 128)) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

/** Reads one instruction: its opcode, and its counts. */
function instruction(reader) {
  const code = reader.byte();
  const times = (n) => {
    for (let i = 0; i < n; i++) reader.skipNumber();
  };
  const memory = { code, accesses: 1, locked: 0 };
  const plain = { code, accesses: 0, locked: 0 };
  if (code === op.br_table) return (times(reader.u32() + 1), plain);
  if (code >= op.block && code <= op.if) return (times(1), plain);
  if (code === op.br || code === op.br_if || code === 0x10) return (times(1), plain);
  if (code === 0x11) return (times(2), plain);
  if (code === 0x1c) return (times(reader.u32()), plain);
  if (code >= 0x20 && code <= 0x26) return (times(1), plain);
  if (code >= 0x28 && code <= 0x3e) return (times(2), memory);
  if (code >= 0x3f && code <= 0x42) return (times(1), plain);
  if (code === 0x43) return (reader.skip(4), plain);
  if (code === 0x44) return (reader.skip(8), plain);
  if (code >= 0x45 && code <= 0xc4) return plain;
  if ([op.unreachable, op.nop, op.else, op.end, op.return, 0x1a, 0x1b].includes(code)) return plain;
  if (code === 0xfc) {
    const sub = reader.u32();
    if (sub <= 7) return plain;
    // memory.copy and memory.fill, however many bytes: one instruction, one access.
    if (sub === 10 || sub === 11) return (times(12 - sub), memory);
  }
  if (code === 0xfe) {
    const sub = reader.u32();
    if (sub === 3) return (reader.skip(1), { code, accesses: 0, locked: 1 });
    // An atomic load is a plain load on most machines; the other atomic instructions are locked. 0: notify.
    if (sub <= 0x4e) return (times(2), { code, accesses: sub ? 1 : 0, locked: sub >= 0x10 && sub <= 0x16 ? 0 : 1 });
  }
  throw new Error(`no such instruction is known: 0x${code.toString(16)}`);
}

/** Adds `amount` to a global. */
const add = (global, amount) => [0x23, ...unsigned(global), 0x42, ...signed(amount), 0x7c, 0x24, ...unsigned(global)];

/** Writes the instructions of a function, with counting. */
function counting(reader, first, out) {
  const push = (bytes) => {
    for (const byte of bytes) out.push(byte);
  };
  while (reader.at < reader.bytes.length) {
    const from = reader.at;
    const sums = [0, 0, 0];
    let last;
    do {
      last = instruction(reader);
      if (!marks.has(last.code)) sums[0]++;
      sums[1] += last.accesses;
      sums[2] += last.locked;
    } while (!ends.has(last.code) && reader.at < reader.bytes.length);
    sums.forEach((sum, i) => sum && push(add(first + i, sum)));
    push(reader.bytes.subarray(from, reader.at));
  }
}

function codeSection(section, first) {
  const reader = new Reader(section);
  const count = reader.u32();
  const out = unsigned(count);
  for (let i = 0; i < count; i++) {
    const body = new Reader(reader.take(reader.u32()));
    const groups = body.u32();
    for (let j = 0; j < groups; j++) {
      body.skipNumber();
      body.skip(1);
    }
    const bytes = [...body.bytes.subarray(0, body.at)];
    counting(body, first, bytes);
    out.push(...unsigned(bytes.length));
    for (const byte of bytes) out.push(byte);
  }
  return out;
}

/** The number of imported globals. */
function importedGlobals(section) {
  const reader = new Reader(section);
  let globals = 0;
  const limits = () => {
    const flags = reader.byte();
    reader.skipNumber();
    if (flags & 1) reader.skipNumber();
  };
  for (let count = reader.u32(); count > 0; count--) {
    reader.skip(reader.u32());
    reader.skip(reader.u32());
    const kind = reader.byte();
    if (kind === 0) reader.skipNumber();
    else if (kind === 1) {
      reader.skip(1);
      limits();
    } else if (kind === 2) limits();
    else if (kind === 3) {
      reader.skip(2);
      globals++;
    } else throw new Error(`no such import is known: ${kind}`);
  }
  return globals;
}

/** A section that is a list, with more items. */
function longer(section, more) {
  const reader = new Reader(section ?? Uint8Array.of(0));
  const count = reader.u32();
  return { count, bytes: [...unsigned(count + more.length), ...reader.bytes.subarray(reader.at), ...more.flat()] };
}

/** The module with counting: it exports an i64 global for each of `counters`. */
export function instrument(bytes) {
  const reader = new Reader(bytes);
  const header = reader.take(8);
  const sections = new Map();
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const section = reader.take(reader.u32());
    // Custom sections, for example names, are left out.
    if (id !== 0) sections.set(id, section);
  }
  // A mutable i64, 0.
  const globals = longer(
    sections.get(GLOBAL),
    counters.map(() => [0x7e, 1, 0x42, 0, op.end]),
  );
  const first = globals.count + (sections.has(IMPORT) ? importedGlobals(sections.get(IMPORT)) : 0);
  const exported = counters.map((name, i) =>
    unsigned(name.length).concat(...Buffer.from(name), 3, unsigned(first + i)),
  );
  sections.set(GLOBAL, globals.bytes);
  sections.set(EXPORT, longer(sections.get(EXPORT), exported).bytes);
  if (sections.has(CODE)) sections.set(CODE, codeSection(sections.get(CODE), first));
  const out = [...header];
  for (const id of order) {
    const section = sections.get(id);
    if (!section) continue;
    out.push(id, ...unsigned(section.length));
    for (const byte of section) out.push(byte);
  }
  return Uint8Array.from(out);
}
