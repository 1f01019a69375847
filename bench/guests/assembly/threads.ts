/** The core with threads and the workloads, as in a guest that links the core. */
export * from "../../../assembly/abi/shared";
export * from "./loops";
export * from "./messages";
