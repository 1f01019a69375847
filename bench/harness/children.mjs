/** Work in processes of its own: no subject inherits another one's garbage, compiled code or memory. */
import { fork, spawn } from "node:child_process";

/**
 * Runs the module at `url` in a new process, with `payload` as JSON in its first argument, and resolves to the result that the
 * module passes to `answer`. `onPart` gets the child's progress.
 */
export function inChild(url, payload, { execArgv = [], seconds = 300, onPart } = {}) {
  const { NODE_OPTIONS: _, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = fork(url, [JSON.stringify(payload)], { execArgv, env, serialization: "advanced" });
    const stuck = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
    let message;
    child.on("message", (got) => {
      if (got.part === undefined) message = got;
      else onPart?.(got.part);
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      clearTimeout(stuck);
      if (message && "result" in message) resolve(message.result);
      else
        reject(
          new Error(
            `${message?.error ?? `ended with ${signal ?? `exit code ${code}`}`}\nof ${JSON.stringify(payload)}`,
          ),
        );
    });
  });
}

/** The child's side: calls `work(payload, progress)` and sends its result, or its error. */
export async function answer(work) {
  const payload = JSON.parse(process.argv[2]);
  try {
    const result = await work(payload, (part) => process.send({ part }));
    process.send({ result }, () => process.exit(0));
  } catch (error) {
    process.send({ error: error.stack }, () => process.exit(1));
  }
}

/** The standard output of a program; rejects with its standard error if it fails or takes too long. */
export function outputOf(program, args, { seconds = 300, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    const stuck = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (err += text));
    child.on("error", (error) => {
      clearTimeout(stuck);
      reject(error);
    });
    child.on("close", (code, signal) => {
      clearTimeout(stuck);
      if (code === 0) resolve(out);
      else reject(new Error(`${program}: ${err.trim() || (signal ?? `exit code ${code}`)}`));
    });
  });
}
