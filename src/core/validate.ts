/** Checks of arguments. Each throws `ERR_INVALID_ARGUMENT`, and names the argument and the value. */
import { MempoolError, type ErrorDetails } from "./errors.ts";
import type { Signal } from "./types.ts";

/** A value as a message shows it: short, with its type visible. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return Object.is(value, -0) ? "-0" : String(value);
}

/** An address as a message shows it. */
export const hex = (address: number): string => `0x${address.toString(16)}`;

/** Whether a value is an integer from 0 to 2^32 - 1: only such a number may reach the core, which takes any other modulo 2^32. */
export const isUint32 = (value: unknown): value is number => typeof value === "number" && value >>> 0 === value;

/** The length of a Uint32Array of any realm. */
export function lengthOf(apiName: string, name: string, value: unknown): number {
  const isUint32Array =
    value instanceof Uint32Array ||
    (ArrayBuffer.isView(value) && (value as Uint32Array)[Symbol.toStringTag] === "Uint32Array");
  if (!isUint32Array) invalid(`${apiName}: ${name} must be a Uint32Array, got ${show(value)}`);
  return (value as Uint32Array).length;
}

/** The count of a call on a Uint32Array: all of it, unless the caller gives fewer. */
export function countOf(apiName: string, name: string, array: unknown, count: unknown): number {
  const length = lengthOf(apiName, name, array);
  return count === undefined ? length : integer(apiName, "count", count, 0, length);
}

/** Whether a value has the parts of an AbortSignal that the package uses. */
export function isSignal(value: unknown): value is Signal {
  const { aborted, addEventListener, removeEventListener } = (value ?? {}) as Signal;
  return (
    typeof aborted === "boolean" && typeof addEventListener === "function" && typeof removeEventListener === "function"
  );
}

export function invalid(message: string, about?: ErrorDetails): never {
  throw new MempoolError("ERR_INVALID_ARGUMENT", message, about);
}

/** An object with no keys but these. undefined counts as an object without keys. */
export function checkOptions<T extends object>(
  apiName: string,
  options: T | undefined,
  known: readonly (keyof T)[],
): T {
  if (options === undefined) return {} as T;
  if (typeof options !== "object" || options === null || Array.isArray(options))
    invalid(`${apiName}: options must be an object, got ${show(options)}`);
  for (const key of Object.keys(options)) {
    if (!known.includes(key as keyof T)) {
      invalid(`${apiName}: unknown option "${key}" (${show(options[key as keyof T])}); there are ${known.join(", ")}`);
    }
  }
  return options;
}

/** An integer from `least` to `most`. */
export function integer(apiName: string, name: string, value: unknown, least: number, most: number): number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    invalid(`${apiName}: ${name} must be an integer from ${least} to ${most}, got ${show(value)}`);
  }
  return value as number;
}

/** A power of two from 1 to `most`. */
export function powerOfTwo(apiName: string, name: string, value: unknown, most: number): number {
  const n = integer(apiName, name, value, 1, most);
  if (n & (n - 1)) invalid(`${apiName}: ${name} must be a power of two, got ${n}`);
  return n;
}

/** A number of milliseconds from 0, or Infinity. */
export function milliseconds(apiName: string, name: string, value: unknown): number {
  if (typeof value !== "number" || !(value >= 0)) {
    invalid(`${apiName}: ${name} must be a number of milliseconds from 0, or Infinity, got ${show(value)}`);
  }
  return value;
}

export function callback(apiName: string, name: string, value: unknown): void {
  if (typeof value !== "function") invalid(`${apiName}: ${name} must be a function, got ${show(value)}`);
}

export function boolean(apiName: string, name: string, value: unknown): boolean {
  if (typeof value !== "boolean") invalid(`${apiName}: ${name} must be true or false, got ${show(value)}`);
  return value;
}

/** A name for messages; `fallback` if the caller gave none. */
export function nameOf(apiName: string, value: unknown, fallback: string): string {
  if (value === undefined) return fallback;
  if (typeof value !== "string") invalid(`${apiName}: name must be a string, got ${show(value)}`);
  return value;
}
