/** How the package's objects look to code that prints, compares, copies or posts them. */

/** The method by which Node's console asks an object what to print. */
export const inspect: unique symbol = Symbol.for("nodejs.util.inspect.custom") as never;

/** Gives an object properties that are not enumerable: code that compares, prints or copies the object skips them. */
export function define(object: object, values: Readonly<Record<string, unknown>>): void {
  for (const key of Object.keys(values)) Object.defineProperty(object, key, { value: values[key] });
}

/** An object that every structured clone refuses. The message is V8's own: [object `text`] could not be cloned. */
export const uncloneable = (text: string): object =>
  Object.defineProperties(new WeakSet(), { constructor: { value: undefined }, [Symbol.toStringTag]: { value: text } });
