/** Checks of arguments. Each throws ERR_INVALID_ARGUMENT, naming the argument and the value. */
import { MempoolError } from "./errors.ts";

/** The method by which Node's console asks what to show. */
export const inspect: unique symbol = Symbol.for("nodejs.util.inspect.custom") as never;

/** A value as a message shows it: short, and its type visible. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return Object.is(value, -0) ? "-0" : String(value);
}

/** An address as a message shows it. */
export const hex = (address: number): string => `0x${address.toString(16)}`;

export function invalid(message: string, cause?: unknown): never {
  throw new MempoolError("ERR_INVALID_ARGUMENT", message, cause === undefined ? undefined : { cause });
}

/** An object with no keys but these. undefined is an object with none. */
export function checkOptions<T extends object>(call: string, options: T | undefined, known: readonly (keyof T)[]): T {
  if (options === undefined) return {} as T;
  if (typeof options !== "object" || options === null || Array.isArray(options))
    invalid(`${call}: options must be an object, got ${show(options)}`);
  for (const key of Object.keys(options)) {
    if (!known.includes(key as keyof T)) {
      invalid(`${call}: unknown option "${key}" (${show(options[key as keyof T])}); there are ${known.join(", ")}`);
    }
  }
  return options;
}

/** An integer from `least` to `most`. */
export function integer(call: string, name: string, value: unknown, least: number, most: number): number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    invalid(`${call}: ${name} must be an integer from ${least} to ${most}, got ${show(value)}`);
  }
  return value as number;
}

/** A power of two from 1 to `most`. */
export function powerOfTwo(call: string, name: string, value: unknown, most: number): number {
  const n = integer(call, name, value, 1, most);
  if (n & (n - 1)) invalid(`${call}: ${name} must be a power of two, got ${n}`);
  return n;
}

/** A number of milliseconds from 0, or Infinity. */
export function milliseconds(call: string, name: string, value: unknown): number {
  if (typeof value !== "number" || !(value >= 0)) {
    invalid(`${call}: ${name} must be a number of milliseconds from 0, or Infinity, got ${show(value)}`);
  }
  return value;
}

export function boolean(call: string, name: string, value: unknown): boolean {
  if (typeof value !== "boolean") invalid(`${call}: ${name} must be true or false, got ${show(value)}`);
  return value;
}

/** A name for people; or, if none is given, one made up. */
export function nameOf(call: string, value: unknown, made: string): string {
  if (value === undefined) return made;
  if (typeof value !== "string") invalid(`${call}: name must be a string, got ${show(value)}`);
  return value;
}
