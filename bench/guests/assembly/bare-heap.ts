/** AssemblyScript's own allocators alone. */
export function allocate(size: u32): usize {
  return heap.alloc(size);
}

export function release(block: usize): void {
  heap.free(block);
}
