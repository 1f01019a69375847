/** The bare list and the workloads. */
export { churn, fill, listAllocCalled, listFreeCalled, listNew, pair, shuffle, slotsNew, wave } from "./loops";
