/** The core with threads and the workloads compiled in, as a guest that links it would have it. */
export * from "../../../assembly/shared";
export * from "../../core/assembly/loops";
export * from "./messages";
