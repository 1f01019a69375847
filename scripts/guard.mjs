// The guarded build: the core's structures in a memory of their own, at the addresses that they would have in the user's.
//
// Compiled, the core's loads and stores are on memory 0, and what it does to its user's memory are calls of imported functions
// (assembly/base/user.ts). Here the second become instructions on memory 0, and the first instructions on memory 1.
import wabtModule from "wabt";

const wabt = await wabtModule();
const features = {
  bulk_memory: true,
  mutable_globals: true,
  sat_float_to_int: true,
  sign_extension: true,
  multi_memory: true,
};

/** The instruction for each imported function. */
const instructions = {
  load: "i32.load 0",
  store: "i32.store 0",
  fill: "memory.fill 0",
  copy: "memory.copy 0 0",
  size: "memory.size 0",
  grow: "memory.grow 0",
};

/** The bytes of the guarded module, which imports the user's memory and exports its own as "guarded". */
export function guard(bytes) {
  const compiled = wabt.readWasm(bytes, features);
  compiled.generateNames();
  compiled.applyNames();
  let text = compiled.toText({ foldExprs: false, inlineExport: false });
  compiled.destroy();
  text = text.replaceAll(/\b((?:i32|i64|f32|f64)\.(?:load|store)\w*|memory\.(?:size|grow|fill))(?=[\s)])/g, "$1 1");
  text = text.replaceAll(/\bmemory\.copy(?=[\s)])/g, "memory.copy 1 1");
  for (const [name, instruction] of Object.entries(instructions)) {
    text = text.replace(new RegExp(`^\\s+\\(import "user" "${name}" .*\\n`, "m"), "");
    text = text.replaceAll(new RegExp(`call \\$user\\.${name}\\b`, "g"), instruction);
  }
  if (text.includes("$user.")) throw new Error("the guarded core asks for more of its user's memory");
  // A module's own memory follows its imports.
  text = text.replace(
    /^(\s+\(import "env" "memory" .*\n)/m,
    '$1  (memory $guarded 1)\n  (export "guarded" (memory $guarded))\n',
  );
  const module = wabt.parseWat("guarded.wat", text, features);
  const { buffer } = module.toBinary({});
  module.destroy();
  return Buffer.from(buffer);
}
