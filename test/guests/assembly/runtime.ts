// A program on the package's runtime: each check answers 0, or with the number of the first thing that is wrong.
import { alloc, create, exit, free, heap_left, Pool, reserve, reserved } from "wasm-mempool/assembly";
import { startHeap } from "wasm-mempool/assembly/malloc/start";

export function heapAddress(): usize {
  return startHeap();
}

let seed: u32 = 7;
function random(): u32 {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed;
}

class Node {
  left: Node | null;
  right: Node | null;
  text: string;
  constructor(depth: i32) {
    this.text = depth.toString();
    if (depth > 0) {
      this.left = new Node(depth - 1);
      this.right = new Node(depth - 1);
    }
  }
  count(): i32 {
    const left = this.left;
    const right = this.right;
    return 1 + (left ? left.count() : 0) + (right ? right.count() : 0);
  }
}

const kept = new Map<u32, string>();
const lists: Array<u32>[] = [[1, 2], [3]];

export function strings(): i32 {
  const parts = new Array<string>();
  for (let i = 0; i < 20_000; i++) parts.push(i.toString());
  const text = parts.join(",");
  const again = text.split(",");
  if (again.length != 20_000) return 1;
  for (let i = 0; i < 20_000; i++) if (again[i] != i.toString()) return 2;
  let long = "x";
  while (long.length < 1 << 24) long += long;
  return long.charCodeAt(long.length - 1) == 120 ? 0 : 3;
}

export function arrays(): i32 {
  // Static data, which grows.
  for (let i: u32 = 4; i < 5000; i++) lists[1].push(i);
  if (lists[0].length != 2 || lists[1][0] != 3 || lists[1][4996] != 4999) return 1;
  lists[1].length = 1;
  const bytes = new Uint8Array(100_000);
  for (let i = 0; i < bytes.length; i++) if (bytes[i]) return 2;
  const many = new Array<StaticArray<u8>>();
  for (let i = 0; i < 3000; i++) {
    const one = new StaticArray<u8>(random() % 9000);
    for (let j = 0; j < one.length; j++) if (one[j]) return 3;
    memory.fill(changetype<usize>(one), <u8>i, one.length);
    many.push(one);
    if (many.length > 50) many.shift();
  }
  for (let i = 0; i < many.length; i++) {
    const one = many[i];
    for (let j = 0; j < one.length; j++) if (one[j] != <u8>(2950 + i)) return 4;
  }
  return 0;
}

/** A buffer that grows where it is leaves the block behind it alone, with the words before its bytes. */
export function renewed(): i32 {
  for (let size: usize = 1; size < 12_000; size += size < 1000 ? 5 : 333) {
    let one = changetype<ArrayBuffer>(__new(size, idof<ArrayBuffer>()));
    const two = new StaticArray<u8>(<i32>size);
    const length = load<u32>(changetype<usize>(two) - 20);
    memory.fill(changetype<usize>(two), 2, size);
    for (let more: usize = 0; more < 40; more++) {
      memory.fill(changetype<usize>(one), 1, size + more);
      one = changetype<ArrayBuffer>(__renew(changetype<usize>(one), size + more + 1));
      for (let i: usize = 0; i < size + more; i++) if (load<u8>(changetype<usize>(one) + i) != 1) return 1;
    }
    if (load<u32>(changetype<usize>(two) - 20) != length || two.length != <i32>size) return 2;
    for (let i = 0; i < two.length; i++) if (two[i] != 2) return 3;
  }
  return 0;
}

export function maps(): i32 {
  const same = new Map<string, u32>();
  for (let i = 0; i < 30_000; i++) {
    const key = random() % 3000;
    if (i % 3) {
      kept.set(key, `${key}-${"y".repeat(key % 100)}`);
      same.set(key.toString(), key);
    } else {
      kept.delete(key);
      same.delete(key.toString());
    }
  }
  if (kept.size != same.size) return 1;
  const keys = kept.keys();
  for (let i = 0; i < keys.length; i++) {
    if (!same.has(keys[i].toString())) return 2;
    const text = kept.get(keys[i]);
    if (!text.startsWith(`${keys[i]}-`) || text.length - keys[i].toString().length - 1 != keys[i] % 100) return 3;
  }
  return 0;
}

/** Garbage of many times the memory, beside what is kept: the collector frees in small steps. */
export function garbage(): i32 {
  const tree = new Node(10);
  for (let i = 0; i < 300; i++) if (new Node(9).count() != 1023) return 1;
  return tree.count() == 2047 ? 0 : 2;
}


@unmanaged
class Request {
  sector: u64;
  next: Request | null;
}

export function pools(): i32 {
  const pool = new Pool<Request>(4);
  let head: Request | null = null;
  for (let i = 0; i < 1000; i++) {
    const request = pool.alloc();
    if (request == null) return 1;
    request.sector = i;
    request.next = head;
    head = request;
  }
  __collect();
  let sum: u64 = 0;
  while (head != null) {
    const request = head;
    sum += request.sector;
    head = request.next;
    if (pool.free(request) != 0 || pool.free(request) != -2) return 2;
  }
  if (sum != 499_500) return 3;
  return pool.exit() == 0 ? 0 : 4;
}

/** No memory but what garbage holds: pools answer with 0, and objects come from their reserve. */
export function full(): i32 {
  reserve(3000, 4);
  const pool = create(100, 5);
  let garbage: StaticArray<u8> | null = null;
  for (let i = 0; i < 300; i++) garbage = new StaticArray<u8>(1 << 20);
  garbage = null;
  const one = create(1 << 20);
  const many = create(4000);
  let list: usize = 0;
  let small: usize = 0;
  for (let at = alloc(one); at; at = alloc(one)) {
    store<usize>(at, list);
    list = at;
  }
  for (let at = alloc(many); at; at = alloc(many)) {
    store<usize>(at, small);
    small = at;
  }
  if (heap_left() > 300) return 1;
  // The element and the object of the reserves.
  const element = alloc(pool);
  if (!element) return 2;
  const object = new StaticArray<u8>(3000);
  if (object[2999]) return 3;
  free(pool, element);
  if (reserved(pool) != 5) return 4;
  while (list) {
    const next = load<usize>(list);
    free(one, list);
    list = next;
  }
  while (small) {
    const next = load<usize>(small);
    free(many, small);
    small = next;
  }
  reserve(3000, 0);
  return exit(one) || exit(many) || exit(pool) ? 5 : 0;
}

/** More than there is. */
export function tooMuch(): void {
  const all = new Array<StaticArray<u8>>();
  for (;;) all.push(new StaticArray<u8>(1 << 20));
}

export function badFree(): void {
  heap.free(heap.alloc(100) + 16);
}
