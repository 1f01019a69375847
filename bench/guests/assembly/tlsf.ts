/** AssemblyScript's allocator and the workloads. */
export { churn, fill, pair, shuffle, slotsNew, wave } from "./loops";
