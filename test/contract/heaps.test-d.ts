import { expectTypeOf, test } from "vitest";
import {
  attach,
  type Arena,
  type Heap,
  type HeapHandle,
  type Pool,
  type PoolHandle,
  type Prefill,
  type SharedHeap,
  type SharedPool,
  type createHeap,
  type createHeapAsync,
  type createSharedHeap,
  type createSharedHeapAsync,
} from "../../src/index.ts";

test("each function that makes a heap returns its kind", () => {
  expectTypeOf<ReturnType<typeof createHeap>>().toEqualTypeOf<Heap>();
  expectTypeOf<ReturnType<typeof createHeapAsync>>().toEqualTypeOf<Promise<Heap>>();
  expectTypeOf<ReturnType<typeof createSharedHeap>>().toEqualTypeOf<SharedHeap>();
  expectTypeOf<ReturnType<typeof createSharedHeapAsync>>().toEqualTypeOf<Promise<SharedHeap>>();
  expectTypeOf(attach({} as HeapHandle)).toEqualTypeOf<SharedHeap>();
  expectTypeOf<SharedHeap>().toExtend<Heap>();
  expectTypeOf<Heap>().not.toExtend<SharedHeap>();
});

test("only a shared heap has calls for threads", () => {
  type Calls = "share" | "detach" | "reap" | "reapAsync" | "watch" | "threadId";
  expectTypeOf<Extract<keyof Heap, Calls>>().toEqualTypeOf<never>();
  expectTypeOf<Extract<keyof SharedHeap, Calls>>().toEqualTypeOf<Calls>();
  expectTypeOf<SharedPool["heap"]["detach"]>().toBeFunction();
  expectTypeOf<ReturnType<SharedHeap["create"]>>().toExtend<SharedPool>();
  expectTypeOf<ReturnType<SharedHeap["share"]>>().toEqualTypeOf<HeapHandle>();
  expectTypeOf<ReturnType<Pool["share"]>>().toEqualTypeOf<PoolHandle>();
});

test("only a shared heap has the option control", () => {
  type Options = NonNullable<Parameters<typeof createHeap>[0]>;
  type SharedOptions = NonNullable<Parameters<typeof createSharedHeap>[0]>;
  expectTypeOf<Extract<keyof Options, "shared" | "control">>().toEqualTypeOf<never>();
  expectTypeOf<Extract<keyof SharedOptions, "shared" | "control">>().toEqualTypeOf<"control">();
});

test("all calls that wait take one bag of options", () => {
  interface Wait {
    readonly timeout?: number;
    readonly signal?: AbortSignal;
  }
  expectTypeOf<Pool["allocWait"]>().toBeCallableWith({} as Wait);
  expectTypeOf<Pool["allocAsync"]>().toBeCallableWith({} as Wait);
  expectTypeOf<Pool["prefillWait"]>().toBeCallableWith(2, {} as Wait);
  expectTypeOf<Pool["prefillAsync"]>().toBeCallableWith(2, {} as Wait);
  expectTypeOf<Pool["allocBulkWait"]>().toBeCallableWith(new Uint32Array(2), {} as Wait & { count?: number });
  expectTypeOf<Pool["allocBulkAsync"]>().toBeCallableWith(new Uint32Array(2), {} as Wait & { count?: number });
  expectTypeOf<Parameters<Pool["allocWait"]>[0]>().not.toExtend<number | undefined>();
  expectTypeOf<ReturnType<Pool["prefill"]>>().toEqualTypeOf<Prefill | undefined>();
});

test("heaps, pools, arenas and prefills work with `using`", () => {
  expectTypeOf<Heap>().toExtend<Disposable>();
  expectTypeOf<Pool>().toExtend<Disposable>();
  expectTypeOf<Arena>().toExtend<Disposable>();
  expectTypeOf<Prefill>().toExtend<Disposable>();
  expectTypeOf<Pool>().toExtend<AsyncDisposable>();
  expectTypeOf<SharedHeap>().toExtend<AsyncDisposable>();
});
