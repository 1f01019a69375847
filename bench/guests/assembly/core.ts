/** The parts of the core that guests inline. */
export { heap_create, mempool_alloc, mempool_create, mempool_free } from "../../../assembly/abi/core";
export { Magazine } from "../../../assembly/base/layout";
export { allocInline } from "../../../assembly/pool/alloc";
export { freeInline } from "../../../assembly/pool/free";
