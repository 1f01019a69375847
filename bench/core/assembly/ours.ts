/** The core with the workloads compiled in, as a guest that links it would have it. */
export * from "../../../assembly/index";
export * from "./loops";
