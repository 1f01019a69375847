/**
 * `import "wasm-mempool/inspector"`: shows heaps to the page `inspector/index.html`, which draws them.
 *
 * @packageDocumentation
 */
import "./inspect.ts";

export { expose, type Channel, type ExposeOptions } from "./inspector/expose.ts";
