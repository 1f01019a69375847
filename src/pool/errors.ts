/** The errors of a pool's calls. */
import { CLOSED, DOUBLE, FOREIGN, INTERIOR, INVALID, MISALIGNED } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";
import { MempoolError, type ErrorCode } from "../core/errors.ts";
import { hex, isUint32, show } from "../core/validate.ts";

const freeErrors: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  [FOREIGN]: ["ERR_FOREIGN_FREE", "is in another pool's memory"],
  [DOUBLE]: ["ERR_DOUBLE_FREE", "is free already"],
  [INTERIOR]: ["ERR_INTERIOR_FREE", "is inside an element, not at its start"],
  [MISALIGNED]: ["ERR_MISALIGNED_FREE", "is no multiple of the pool's alignment"],
  [INVALID]: ["ERR_INVALID_ADDRESS", "was never allocated by a pool"],
  [CLOSED]: ["ERR_CLOSED", "is no outstanding element, and the pool is closed"],
};

/** The error of a call that the core refuses an element with `code`; `index` is the element's place in an array. */
export function elementError(
  apiName: string,
  pool: string,
  code: number,
  address: unknown,
  index: number | undefined,
  history = "",
): MempoolError {
  const [name, why] = freeErrors[code]!;
  const isAddress = isUint32(address);
  const where = index === undefined ? "" : ` (at index ${index})`;
  const what = isAddress
    ? `${hex(address)} ${why}`
    : `address must be an integer from 0 to 2^32 - 1, got ${show(address)}`;
  const about = { pool, address: isAddress ? address : undefined, index };
  return new MempoolError(name, `${apiName}: ${what}${where}; pool "${pool}"${history}`, about);
}

export const closedError = (apiName: string, pool: string): MempoolError =>
  new MempoolError("ERR_CLOSED", `${apiName}: pool "${pool}" is closed`, { pool });

export const noElement = (apiName: string, pool: string): MempoolError =>
  new MempoolError("ERR_NO_MEMORY", `${apiName}: pool "${pool}" has no element`, { pool });

export function noMemory(
  apiName: string,
  heap: HeapContext,
  name: string,
  minNr: number,
  elementSize: number,
): MempoolError {
  const what = `no memory for pool "${name}" with minNr ${minNr} elements of ${elementSize} bytes`;
  return new MempoolError("ERR_NO_MEMORY", `${apiName}: ${what}; ${heap.describeMemory()}`, { pool: name });
}
