/** The core and the workloads, as in a guest that links the core. */
export * from "../../../assembly/abi/core";
export * from "./loops";
