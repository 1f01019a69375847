/**
 * AssemblyScript's runtime on this allocator: `asc --runtime node_modules/wasm-mempool/assembly/runtime`. The collector is
 * AssemblyScript's incremental one; its memory are the blocks of malloc/malloc.ts, which pools share.
 *
 * The collector reads how long a block is in the word before it. So a block has 16 bytes before what the program gets, which
 * keep it aligned to 16. When memory is gone, the reserve with it, a full collection comes before the trap: the collector
 * has no way to refuse.
 *
 * The imports name the package, as those of a program do: by relative paths the compiler would take the files for others,
 * and compile a second heap.
 */
import "rt/itcms";
import { classBytes, classOf, SMALL } from "wasm-mempool/assembly/malloc/classes";
import { allocate, reallocate, release } from "wasm-mempool/assembly/malloc/malloc";


@global
const WASM_MEMPOOL_RUNTIME: bool = true;

const HEADER: usize = 16;
const LARGEST: usize = (1 << 30) - HEADER;
const PAGE: usize = 4096;

/** Bytes of the block that serves so many. */
function blockBytes(bytes: usize): usize {
  return bytes <= SMALL ? classBytes(classOf(<u32>bytes)) : (bytes + PAGE - 1) & ~(PAGE - 1);
}

/** Writes a block's header; what the program gets of it. */
function withHeader(block: usize, bytes: usize): usize {
  const address = block + HEADER;
  store<usize>(address - sizeof<usize>(), blockBytes(bytes) - HEADER);
  return address;
}

function bytesFor(size: usize): usize {
  if (size > LARGEST) throw new Error("Allocation too large");
  return size + HEADER;
}


@global
@unsafe
function __alloc(size: usize): usize {
  const bytes = bytesFor(size);
  let block = allocate(<u32>bytes);
  if (!block) {
    __collect();
    block = allocate(<u32>bytes);
    if (!block) unreachable();
  }
  return withHeader(block, bytes);
}


@global
@unsafe
function __realloc(address: usize, size: usize): usize {
  if (address < __heap_base) {
    // Static data.
    const moved = __alloc(size);
    memory.copy(moved, address, min(size, load<usize>(address - sizeof<usize>()) & ~3));
    return moved;
  }
  const bytes = bytesFor(size);
  let block = reallocate(address - HEADER, 16, <u32>bytes);
  if (!block) {
    __collect();
    block = reallocate(address - HEADER, 16, <u32>bytes);
    if (!block) unreachable();
  }
  return withHeader(block, bytes);
}


@global
@unsafe
function __free(address: usize): void {
  if (address >= __heap_base) release(address - HEADER);
}
