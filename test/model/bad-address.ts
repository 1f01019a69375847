/** Addresses that a model must not free. */
import { nonAddresses, PAGE } from "../contract/helpers.ts";
import type { ArenaModel, Block, PoolModel } from "./state.ts";

/** What exists beside the pool. */
interface Surroundings {
  readonly pools: readonly PoolModel[];
  readonly arenas: readonly ArenaModel[];
  readonly foreignPages: readonly Block[];
  /** The memory's size in bytes. */
  readonly end: number;
  /** Whether an address that this pool once freed is now the start of an element of its own. */
  isLive(address: number, model: PoolModel): boolean;
}

/** An address that the pool must refuse now, and the codes that it may have. */
export function badAddress(
  { pools, arenas, foreignPages, end, isLive }: Surroundings,
  model: PoolModel,
  b: number,
  c: number,
): { readonly kind: string; readonly value: unknown; readonly codes: readonly string[] } | undefined {
  const closed = model.exited ? ["ERR_CLOSED"] : undefined;
  const mine = model.live[c % Math.max(1, model.live.length)];
  const others = pools.filter((other) => other !== model && other.live.length > 0);
  const other = others[c % Math.max(1, others.length)];
  const theirs = other?.live[(c >> 4) % Math.max(1, other.live.length)];
  switch (b % 8) {
    case 0: {
      // the address freed last is the most likely to be confused with a live one
      const freed = model.freed.at(-1 - (c % Math.max(1, model.freed.length)));
      if (freed === undefined || isLive(freed.address, model)) return undefined;
      const codes = freed.slabMayBeGone
        ? ["ERR_DOUBLE_FREE", "ERR_INVALID_ADDRESS", "ERR_FOREIGN_FREE", "ERR_INTERIOR_FREE", "ERR_MISALIGNED_FREE"]
        : ["ERR_DOUBLE_FREE"];
      return { kind: "double free", value: freed.address, codes: closed ?? codes };
    }
    case 1:
    case 2: {
      if (mine === undefined || model.size < 2) return undefined;
      const offset = 1 + ((c * 31 + b) % (model.size - 1));
      const code = offset % model.align === 0 ? "ERR_INTERIOR_FREE" : "ERR_MISALIGNED_FREE";
      return { kind: `${offset} into an element`, value: mine + offset, codes: closed ?? [code] };
    }
    case 3: {
      if (mine === undefined || model.size <= model.align) return undefined;
      const steps = Math.ceil(model.size / model.align) - 1;
      const offset = model.align * (1 + (c % steps));
      return { kind: `${offset} into an element`, value: mine + offset, codes: closed ?? ["ERR_INTERIOR_FREE"] };
    }
    case 4: {
      if (other === undefined || theirs === undefined) return undefined;
      const offset = c % 2 === 0 ? 0 : (c >> 3) % other.size;
      return {
        kind: `${offset} into a foreign element`,
        value: theirs + offset,
        codes: closed ?? ["ERR_FOREIGN_FREE"],
      };
    }
    case 5: {
      const arena = arenas[c % Math.max(1, arenas.length)];
      const block = arena?.blocks[(c >> 3) % Math.max(1, arena.blocks.length)] ?? foreignPages[0];
      if (block === undefined) return undefined;
      const value = block.address + (c % 2 === 0 ? 0 : (c >> 5) % block.bytes);
      return { kind: "memory that is no pool's", value, codes: closed ?? ["ERR_INVALID_ADDRESS"] };
    }
    case 6: {
      const values = [end, end + 16, end + c, end + c * PAGE, 2 ** 32 - 1 - c, 2 ** 31 + c, (mine ?? end) + 2 ** 31];
      const value = values[(b >> 3) % values.length]! % 2 ** 32;
      return value < end ? undefined : { kind: "out of range", value, codes: closed ?? ["ERR_INVALID_ADDRESS"] };
    }
    default: {
      const garbage = nonAddresses(mine ?? theirs ?? 64);
      const [kind, value] = garbage[c % garbage.length]!;
      return { kind, value, codes: closed ?? ["ERR_INVALID_ADDRESS"] };
    }
  }
}
