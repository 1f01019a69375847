/** AssemblyScript's allocator with the workloads compiled in. */
export { churn, fill, pair, shuffle, slotsNew, wave } from "./loops";
