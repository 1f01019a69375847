/** A worker of the threads test. */
import { makeTasks, serve } from "./threads-tasks.mjs";

serve(globalThis, makeTasks());
