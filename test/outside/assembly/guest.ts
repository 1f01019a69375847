// A guest: blocks of its own allocator, in a list through them, each filled with what its number makes.
let list: usize = 0;
let made: u32 = 0;

export function take(bytes: u32): usize {
  return heap.alloc(bytes);
}

export function fill(count: u32, bytes: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    const at = heap.alloc(bytes);
    memory.fill(at, <u8>made, bytes);
    store<usize>(at, list);
    store<u32>(at, bytes, 4);
    store<u32>(at, made++, 8);
    list = at;
  }
}

/** How many blocks are not as they were left. */
export function check(): u32 {
  let bad: u32 = 0;
  let number = made;
  for (let at = list; at; at = load<usize>(at)) {
    const bytes = load<u32>(at, 4);
    if (load<u32>(at, 8) != --number) return bad + 1;
    for (let i: u32 = 12; i < bytes; i++) {
      if (load<u8>(at + i) != <u8>number) {
        bad++;
        break;
      }
    }
  }
  return bad + number;
}
