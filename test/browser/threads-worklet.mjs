/** The audio worklet of the threads test: tasks come through its port; its part of the exchange goes on in process(). */
import { makeTasks, serve } from "./threads-tasks.mjs";

/** Elements that change hands in a quantum. */
const TIMES = 200;

class Member extends AudioWorkletProcessor {
  constructor() {
    super();
    const run = (steps) => new Promise((resolve, reject) => (this.work = { steps, resolve, reject }));
    serve(this.port, makeTasks(run));
  }

  process() {
    const { work } = this;
    try {
      for (let i = 0; this.work && i < TIMES; i++) {
        const { done, value } = work.steps.next();
        if (!done) continue;
        work.resolve(value);
        this.work = undefined;
      }
    } catch (error) {
      work.reject(error);
      this.work = undefined;
    }
    return true;
  }
}
registerProcessor("member", Member);
