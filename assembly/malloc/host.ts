/**
 * What malloc needs of what is around it: where the guest's memory is its to use, and what becomes of a bad free.
 *
 * In a build to link (LINKED) the linker says so: `__heap_base`, a word of the guest's own that all its threads share, and
 * a function of the guest's or the archive's. In a program in AssemblyScript with runtime.ts, its compiler knows
 * `__heap_base`. Otherwise the heap is behind all memory that is there. Where nothing else is said, a bad free traps.
 */

@external("env", "wasm_mempool_heap_base")
declare function linkedBase(): usize;


@external("env", "wasm_mempool_heap_word")
declare function linkedWord(): usize;


@external("env", "wasm_mempool_bad_free")
declare function linkedBadFree(address: usize, code: i32): void;

/** The first address that is not the guest's own; 0: what is there already is all the guest's. */
export function heapStart(): usize {
  if (isDefined(WASM_MEMPOOL_RUNTIME)) return __heap_base;
  return isDefined(LINKED) ? linkedBase() : 0;
}

/** The address of a word, 0 at first, by which the threads of a guest find their heap; 0: the host tells them. */
export function heapWord(): usize {
  // In the sim build a word of address 0 that nothing else uses.
  if (isDefined(SIM)) return 16;
  return isDefined(LINKED) ? linkedWord() : 0;
}

/** Says that an address which is no block was freed or resized, with the code of free that tells why. */
export function badFree(address: usize, code: i32): void {
  if (isDefined(LINKED)) linkedBadFree(address, code);
  else unreachable();
}
