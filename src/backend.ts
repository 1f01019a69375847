/**
 * `import "wasm-mempool/backend"`: pools of a backend of your own, `create({ backend: { alloc, free } })`.
 *
 * @packageDocumentation
 */
import { BackendAdapter } from "./pool/backend.ts";
import { adapters } from "./pool/adapters.ts";

adapters.provide(BackendAdapter);
