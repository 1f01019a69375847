/** The commands of a model, and its world. */
import fc from "fast-check";
import { PAGE } from "../contract/helpers.ts";

export const OPERATIONS = {
  createPool: 5,
  alloc: 20,
  allocMany: 6,
  exhaust: 3,
  free: 14,
  freeMany: 5,
  freeBad: 12,
  allocPreallocated: 5,
  allocBulk: 5,
  freeBulk: 4,
  freeBulkBad: 3,
  exit: 3,
  useStale: 2,
  createArena: 1,
  arenaAlloc: 8,
  arenaMark: 3,
  arenaReset: 3,
  arenaExit: 1,
  growByOthers: 2,
  trim: 3,
  verify: 3,
} as const;

type Operation = keyof typeof OPERATIONS;

export type Command = [operation: Operation, a: number, b: number, c: number];

/** A command; the smaller its numbers, the simpler what it does. */
export const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.tuple(
    fc.oneof(
      ...Object.entries(OPERATIONS).map(([name, weight]) => ({
        arbitrary: fc.constant(name as Operation),
        weight,
      })),
    ),
    fc.nat(0xffff),
    fc.nat(0xffff),
    fc.nat(0xffff),
  ),
  { minLength: 1, maxLength: 160, size: "max" },
);

export interface World {
  /** Bytes that the heap may have at most. */
  readonly maximum: number;
  /** Bytes that it starts with. */
  readonly initial: number;
}

export const worlds: fc.Arbitrary<World> = fc.constantFrom(
  { initial: 2 * PAGE, maximum: 2 * PAGE },
  { initial: 4 * PAGE, maximum: 16 * PAGE },
  { initial: 16 * PAGE, maximum: 16 * PAGE },
  { initial: 4 * PAGE, maximum: 512 * PAGE },
);
