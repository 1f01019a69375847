// Splits a module in two over the same memory: what its hot exports need, and the rest, which imports that.
import binaryen from "binaryen";

const isFunction = ({ kind }) => kind === binaryen.ExternalFunction;

/** Names as short as they can be, for what one half lends the other. */
const shortName = (n) => `_${n.toString(36)}`;

function read(bytes) {
  const module = binaryen.readBinary(bytes);
  module.setFeatures(binaryen.Features.All);
  return module;
}

function list(module) {
  const functions = Array.from({ length: module.getNumFunctions() }, (_, i) =>
    binaryen.getFunctionInfo(module.getFunctionByIndex(i)),
  );
  const globals = Array.from({ length: module.getNumGlobals() }, (_, i) =>
    binaryen.getGlobalInfo(module.getGlobalByIndex(i)),
  );
  const exports = Array.from({ length: module.getNumExports() }, (_, i) =>
    binaryen.getExportInfo(module.getExportByIndex(i)),
  );
  return { functions, globals, exports };
}

/** For each function, by name: the functions it calls, and the globals it reads or writes. */
function uses(module) {
  const calls = new Map();
  const touches = new Map();
  let name;
  for (const line of module.emitText().split("\n")) {
    const head = /^ \(func \$(\S+)/.exec(line);
    if (head) {
      name = head[1];
      calls.set(name, new Set());
      touches.set(name, new Set());
    }
    if (!name) continue;
    for (const [, callee] of line.matchAll(/\((?:return_)?call \$([^\s()]+)/g)) calls.get(name).add(callee);
    for (const [, global] of line.matchAll(/\(global\.[gs]et \$([^\s()]+)/g)) touches.get(name).add(global);
  }
  return { calls, touches };
}

/**
 * The two halves of a module, as bytes. The first has the exports that `isHot` names and all that they call, and is complete
 * by itself; the second has the other exports, and imports from the first, as module "core", what both need.
 */
export function split(bytes, isHot) {
  const whole = read(bytes);
  const { functions, globals, exports } = list(whole);
  const { calls, touches } = uses(whole);
  const hot = new Set();
  const visit = (name) => {
    if (hot.has(name)) return;
    hot.add(name);
    for (const callee of calls.get(name)) visit(callee);
  };
  for (const each of exports.filter(isFunction)) if (isHot(each.name)) visit(each.value);
  const cold = functions.filter(({ name }) => !hot.has(name));
  const lent = new Set(cold.flatMap(({ name }) => [...calls.get(name)].filter((callee) => hot.has(callee))));
  const shared = globals.filter(({ name, mutable }) => mutable && cold.some((f) => touches.get(f.name).has(name)));

  const first = read(bytes);
  for (const each of exports) if (isFunction(each) && !hot.has(each.value)) first.removeExport(each.name);
  for (const { name } of cold) first.removeFunction(name);
  const second = read(bytes);
  for (const each of exports) second.removeExport(each.name);
  let n = 0;
  for (const { name, params, results } of functions) {
    if (!hot.has(name)) continue;
    second.removeFunction(name);
    if (!lent.has(name)) continue;
    first.addFunctionExport(name, shortName(n));
    second.addFunctionImport(name, "core", shortName(n++), params, results);
  }
  for (const { name, type } of shared) {
    first.addGlobalExport(name, shortName(n));
    second.removeGlobal(name);
    second.addGlobalImport(name, "core", shortName(n++), type, true);
  }
  for (const each of exports)
    if (isFunction(each) && !hot.has(each.value)) second.addFunctionExport(each.value, each.name);
  const halves = [first, second].map((module) => {
    // What nothing uses any more.
    module.runPasses(["remove-unused-module-elements"]);
    if (!module.validate()) throw new Error("split: a half does not validate");
    const out = module.emitBinary();
    module.dispose();
    return out;
  });
  whole.dispose();
  return halves;
}
