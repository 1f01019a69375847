/**
 * Runs a program of WASI's preview 1 that reads no files. Node's own ends the process when it is collected while the program
 * runs, as Node 20 does when a program's memory grows.
 */
import { readFileSync } from "node:fs";

export interface Outcome {
  readonly output: string;
  /** What main returned; a trap's message. */
  readonly end: number | string;
  /** Bytes of memory at the end. */
  readonly bytes: number;
  readonly milliseconds: number;
}

class Exit extends Error {
  readonly code: number;
  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

const BADF = 8;
const CHARACTER_DEVICE = 2;

export function run(path: string): Outcome {
  let memory: WebAssembly.Memory;
  const view = (): DataView => new DataView(memory.buffer);
  const written: Uint8Array[] = [];
  const text = (): string => Buffer.concat(written).toString();
  const system: Record<string, (...args: number[]) => number> = {
    fd_write(_fd, vectors, count, at) {
      let all = 0;
      for (let i = 0; i < count!; i++) {
        const [from, bytes] = [0, 4].map((part) => view().getUint32(vectors! + 8 * i + part, true));
        written.push(new Uint8Array(memory.buffer, from, bytes).slice());
        all += bytes!;
      }
      view().setUint32(at!, all, true);
      return 0;
    },
    fd_fdstat_get(_fd, at) {
      new Uint8Array(memory.buffer, at!, 24).fill(0);
      view().setUint8(at!, CHARACTER_DEVICE);
      return 0;
    },
    clock_time_get(_clock, _precision, at) {
      view().setBigUint64(at!, BigInt(Math.round(performance.now() * 1e6)), true);
      return 0;
    },
    proc_exit(code) {
      throw new Exit(code!);
    },
    ...Object.fromEntries(
      ["args_sizes_get", "environ_sizes_get"].map((name) => [
        name,
        (count: number, bytes: number) => {
          view().setUint32(count, 0, true);
          view().setUint32(bytes, 0, true);
          return 0;
        },
      ]),
    ),
  };
  const module = new WebAssembly.Module(readFileSync(path));
  const imports = Object.fromEntries(
    WebAssembly.Module.imports(module).map(({ name }) => [name, system[name] ?? (() => BADF)]),
  );
  const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: imports });
  memory = instance.exports["memory"] as WebAssembly.Memory;
  let end: number | string = 0;
  const began = performance.now();
  try {
    (instance.exports["_start"] as () => void)();
  } catch (error) {
    if (error instanceof Exit) end = error.code;
    else if (error instanceof WebAssembly.RuntimeError) end = error.message;
    else throw error;
  }
  const milliseconds = performance.now() - began;
  return { output: text(), end, bytes: memory.buffer.byteLength, milliseconds };
}
