// The allocator interface of @thi.ng/ecs (IMemPoolArray of @thi.ng/malloc) over a shared heap: an ECS whose columns other
// threads see.
//
//   const columns = new Columns(createSharedHeap({ maximum: 2 ** 28 }));
//   const ecs = new ECS({ capacity: 1000, pool: columns });
//   const position = ecs.defComponent({ id: "position", type: "f32", size: 2, ...columns.place("f32", 2 * 1000) });
//   worker.postMessage({ heap: columns.heap.share(), at: position.vals.byteOffset, length: position.vals.length });
//
// A column is an element of a pool for its size: 64 bytes, and each power of two above. Columns stay valid when the heap grows,
// since its memory is shared. When the ECS grows, it moves its columns: take `position.vals` anew then, and post where it is.
const views = { i8: "i8", u8: "u8", i16: "i16", u16: "u16", i32: "i32", u32: "u32", f32: "f32", f64: "f64" };
const LEAST = 64;
const MOST = 2 ** 24;

export class Columns {
  #pools = new Map();

  constructor(heap) {
    this.heap = heap;
  }

  /** A column of `count` numbers of a type such as "f32"; undefined if memory is gone, or for more than 16 MiB. */
  mallocAs(type, count) {
    const { constructor: TypedArray } = this.heap[views[type]];
    return this.#make(TypedArray, count);
  }

  callocAs(type, count, fill = 0) {
    return this.mallocAs(type, count)?.fill(fill);
  }

  /** A longer column with the same numbers; the old one is gone then. undefined if memory is gone: then the old one stays. */
  reallocArray(column, count) {
    if (count === column.length) return column;
    const longer = this.#make(column.constructor, count);
    if (!longer) return undefined;
    longer.set(column.subarray(0, count));
    this.freeArray(column);
    return longer;
  }

  /** Whether the column was one of these; it is free now. */
  freeArray({ buffer, byteOffset, byteLength }) {
    if (!(buffer instanceof SharedArrayBuffer)) return false;
    this.#poolFor(byteLength).free(byteOffset);
    return true;
  }

  /** For defComponent, which would else make the column of values itself: where it shall be. */
  place(type, count) {
    const column = this.callocAs(type, count);
    if (!column) throw new Error(`no memory for ${count} numbers of type ${type}`);
    return { buf: column.buffer, byteOffset: column.byteOffset };
  }

  release() {
    for (const pool of this.#pools.values()) pool.exit();
    this.#pools.clear();
    return true;
  }

  #make(TypedArray, count) {
    const bytes = count * TypedArray.BYTES_PER_ELEMENT;
    const at = bytes <= MOST ? this.#poolFor(bytes).alloc() : 0;
    return at === 0 ? undefined : new TypedArray(this.heap.u8.buffer, at, count);
  }

  #poolFor(bytes) {
    const size = Math.max(LEAST, 2 ** Math.ceil(Math.log2(bytes)));
    if (!this.#pools.has(size)) this.#pools.set(size, this.heap.create({ size, minNr: 0, name: `columns of ${size}` }));
    return this.#pools.get(size);
  }
}
