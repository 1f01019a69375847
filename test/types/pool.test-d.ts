/** The type of a pool: of its elements, and of the data of its size callback. */
import { expectTypeOf, test } from "vitest";
import {
  attach,
  create,
  createHeap,
  f32,
  struct,
  u32,
  type MempoolError,
  type Pool,
  type PoolHandle,
  type Prefill,
  type Ptr,
  type PtrArray,
  type Queue,
  type QueueHandle,
  type SharedPool,
} from "../../src/index.ts";

const Particle = struct({ x: f32, vx: f32, state: u32 });
const Item = struct({ key: u32 });
type Particle = typeof Particle;
const heap = createHeap();
const particles = heap.create({ size: Particle, minNr: 100, zero: true });
const items = create({ heap, size: Item, minNr: 1 });
const plain = create({ size: 64, minNr: 1 });
const sized = create({ size: (array) => 16 * array.disks, data: { disks: 2 }, minNr: 1 });

test("create returns a pool of its options", () => {
  expectTypeOf(particles).toEqualTypeOf<Pool<Particle>>();
  expectTypeOf(items).toEqualTypeOf<Pool<typeof Item>>();
  expectTypeOf(plain).toEqualTypeOf<Pool>();
  expectTypeOf(heap.create({ size: 64, minNr: 1 })).toEqualTypeOf<Pool>();
  expectTypeOf(sized).toEqualTypeOf<Pool<unknown, { disks: number }>>();
  expectTypeOf(heap.create({ size: (n: number) => n, data: 8, minNr: 1 })).toEqualTypeOf<Pool<unknown, number>>();
  expectTypeOf(create({ size: () => 8, minNr: 1 })).toEqualTypeOf<Pool<unknown, void>>();
  const backend = { alloc: (size: number, first: number) => size + first, free: (_element: number) => undefined };
  expectTypeOf(create({ size: 1, data: 5, minNr: 1, backend })).toEqualTypeOf<Pool>();
  // @ts-expect-error the callback has another argument
  create({ size: (n: number) => n, data: "two", minNr: 1 });
  // @ts-expect-error the callback would get undefined
  create({ size: (array: { disks: number }) => array.disks, minNr: 1 });
  // @ts-expect-error the backend has another argument
  create({ size: 1, data: "five", minNr: 1, backend });
  // @ts-expect-error no size
  create({ minNr: 1 });
  // @ts-expect-error a heap's own method makes pools on this heap
  heap.create({ size: 8, minNr: 1, heap });
});

test("data", () => {
  sized.reshape({ disks: 3 });
  create({ size: () => 8, minNr: 1 }).reshape();
  // @ts-expect-error data is { disks: number }
  sized.reshape("three");
  // @ts-expect-error there is no callback to ask
  plain.reshape(3);
  // @ts-expect-error there is none either
  particles.reshape(3);
});

test("elements of a struct", () => {
  const at = particles.alloc();
  expectTypeOf(at).toEqualTypeOf<0 | Ptr<Particle>>();
  expectTypeOf(particles.allocPreallocated()).toEqualTypeOf<0 | Ptr<Particle>>();
  const cursor = Particle.cursor(heap);
  // @ts-expect-error at may be 0
  cursor.move(at);
  // @ts-expect-error at may be 0
  particles.sizeOf(at);
  // @ts-expect-error at may be 0
  particles.adopt(at);
  particles.free(at); // 0 has no effect
  if (at) {
    cursor.move(at).x = 1;
    particles.sizeOf(at);
    particles.free(at);
    // @ts-expect-error another struct's pool
    items.free(at);
    // @ts-expect-error another struct's pool
    items.sizeOf(at);
    // @ts-expect-error another struct's pool
    items.adopt(at);
    // @ts-expect-error another struct's cursor
    Item.at(heap, at);
  }
  for (const each of particles.live()) expectTypeOf(each).toEqualTypeOf<Ptr<Particle>>();
  // @ts-expect-error another struct's elements
  for (const each of items.live()) particles.free(each);
});

test("waiting", async () => {
  expectTypeOf(particles.allocWait()).toEqualTypeOf<Ptr<Particle>>();
  expectTypeOf(await particles.allocAsync()).toEqualTypeOf<Ptr<Particle>>();
  expectTypeOf(await plain.allocAsync()).toEqualTypeOf<number>();
});

test("ptr makes a number an address of a struct", () => {
  const posted: number = 4096;

  // @ts-expect-error its struct is unknown
  particles.free(posted);
  expectTypeOf(particles.ptr(posted)).toEqualTypeOf<Ptr<Particle>>();
  particles.free(particles.ptr(posted));
  expectTypeOf(plain.ptr(posted)).toEqualTypeOf<number>();
});

test("a plain pool has plain numbers", () => {
  expectTypeOf(plain.alloc()).toEqualTypeOf<number>();
  plain.free(4096);
  plain.sizeOf(4096);
  for (const each of plain.live()) expectTypeOf(each).toEqualTypeOf<number>();
});

test("several at once", () => {
  const out: PtrArray<Particle> = new Uint32Array(10);
  if (particles.allocBulk(out)) particles.freeBulk(out);
  // @ts-expect-error another struct's pool
  items.freeBulk(out);
  // @ts-expect-error another struct's pool
  items.allocBulk(out);
  // @ts-expect-error another struct's pool
  items.allocBulkWait(out);
  // @ts-expect-error another struct's pool
  void items.allocBulkAsync(out);
  const any = new Uint32Array(10);
  if (plain.allocBulk(any)) plain.freeBulk(any);
  particles.freeBulk(any);
  const prefill = particles.prefill(3);
  expectTypeOf(prefill).toEqualTypeOf<Prefill<Particle> | undefined>();
  expectTypeOf(prefill!.alloc()).toEqualTypeOf<0 | Ptr<Particle>>();
  expectTypeOf(plain.prefillWait(3).alloc()).toEqualTypeOf<number>();
  expectTypeOf(particles.prefillAsync(3)).resolves.toEqualTypeOf<Prefill<Particle>>();
});

test("which pool goes for which", () => {
  const any: Pool[] = [particles, items, plain, sized];
  void any;
  // @ts-expect-error it does not hold particles
  expectTypeOf(plain).toExtend<Pool<Particle>>();
  // @ts-expect-error it holds others
  expectTypeOf(items).toExtend<Pool<Particle>>();
  // @ts-expect-error its callback is asked with something else
  expectTypeOf(sized).toExtend<Pool<unknown, string>>();
  // @ts-expect-error nothing to reshape with
  expectTypeOf(plain).toExtend<Pool<unknown, string>>();
});

test("attach", () => {
  const shared = null as never as PoolHandle;
  expectTypeOf(attach(shared)).toEqualTypeOf<SharedPool>();
  expectTypeOf(attach(shared, { size: Particle })).toEqualTypeOf<SharedPool<Particle>>();
  expectTypeOf(attach(shared, { size: (n: number) => n })).toEqualTypeOf<SharedPool<unknown, number>>();
});

test("errors", () => {
  const error = null as never as MempoolError;
  expectTypeOf(error.pool).toEqualTypeOf<string | undefined>();
  expectTypeOf(error.address).toEqualTypeOf<number | undefined>();
  expectTypeOf(error.index).toEqualTypeOf<number | undefined>();
  // @ts-expect-error they tell of what was
  error.pool = "another";
});

test("use gives an address of the pool's elements, and returns what the function returns", () => {
  expectTypeOf(particles.use((at) => [at])).toEqualTypeOf<Ptr<Particle>[]>();
  expectTypeOf(plain.use((at) => at)).toEqualTypeOf<number>();
  expectTypeOf(particles.use(async () => 7)).toEqualTypeOf<Promise<number>>();
  expectTypeOf(particles.useAsync(async (at) => at)).toEqualTypeOf<Promise<Ptr<Particle>>>();
  expectTypeOf(particles.useAsync(() => "text")).toEqualTypeOf<Promise<string>>();
});

test("a queue carries the addresses of its type", () => {
  const queue = {} as Queue<Particle>;
  expectTypeOf(queue.pop()).toEqualTypeOf<Ptr<Particle> | 0>();
  expectTypeOf(queue.popAsync()).toEqualTypeOf<Promise<Ptr<Particle>>>();
  expectTypeOf(attach<Particle>({} as QueueHandle)).toEqualTypeOf<Queue<Particle>>();
  const message = {} as any;
  expectTypeOf(attach<Particle>(message)).toEqualTypeOf<Queue<Particle>>();
  expectTypeOf(queue.share()).toEqualTypeOf<QueueHandle>();
  expectTypeOf<ReturnType<Queue["pop"]>>().toEqualTypeOf<number>();
  const at = particles.alloc();
  if (at) queue.push(at);
  // @ts-expect-error may be 0
  queue.push(at);
  const item = items.alloc();
  // @ts-expect-error the address of another struct
  if (item) queue.push(item);
});
