/**
 * Typed views over one linear memory.
 *
 * `memory.grow` gives a memory a new buffer, whoever calls it. What happens to views of the old one differs:
 * a plain memory's are detached (length 0), a shared memory's keep their old length. Either way an index into
 * the grown part is not below `length`, so the test `index < view.length` that a careful reader makes anyway is
 * also the test for staleness; `refresh()` then makes the views anew.
 */
export class Views {
  readonly memory: WebAssembly.Memory;
  i8!: Int8Array;
  u8!: Uint8Array;
  i16!: Int16Array;
  u16!: Uint16Array;
  i32!: Int32Array;
  u32!: Uint32Array;
  f32!: Float32Array;
  f64!: Float64Array;
  i64!: BigInt64Array;
  u64!: BigUint64Array;

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
    this.refresh();
  }

  /** Makes every view anew if the memory has another buffer now. Returns this. */
  refresh(): this {
    const { buffer } = this.memory;
    if (this.u8?.buffer !== buffer) {
      this.i8 = new Int8Array(buffer);
      this.u8 = new Uint8Array(buffer);
      this.i16 = new Int16Array(buffer);
      this.u16 = new Uint16Array(buffer);
      this.i32 = new Int32Array(buffer);
      this.u32 = new Uint32Array(buffer);
      this.f32 = new Float32Array(buffer);
      this.f64 = new Float64Array(buffer);
      this.i64 = new BigInt64Array(buffer);
      this.u64 = new BigUint64Array(buffer);
    }
    return this;
  }
}
