/** A parser's trees: built from tokens, evaluated, dropped. Nodes of 32 bytes, as C lays them out. */
import { createArena, f64, pointer, struct, u32 } from "../../../../dist/index.js";
import { SEED, heapFor, must, names, next } from "../common.mjs";

const NUMBER = 0;
const OPEN = 1;
const CLOSE = 2;
/** The lowest operator; a higher one binds tighter. */
const OPERATOR = 3;
const END = 7;

const SIZE = 32;
// Made only where it is used: an object literal with the same names would share its hidden class.
const nodeType = () => struct({ kind: u32, at: u32, left: pointer(), right: pointer(), value: f64, length: u32 });

/** The tokens of an expression with that many numbers, and some parentheses: kinds, and values. */
function tokensOf(numbers) {
  const kinds = [];
  const values = [];
  let x = SEED;
  let open = 0;
  const put = (kind, value) => {
    kinds.push(kind);
    values.push(value);
  };
  for (let i = 0; i < numbers; i++) {
    x = next(x);
    if (i > 0) put(OPERATOR + (x & 3), 0);
    if (open < 40 && ((x >>> 4) & 3) === 0) {
      put(OPEN, 0);
      open++;
    }
    put(NUMBER, ((x >>> 8) & 1023) + 0.5);
    if (open > 0 && ((x >>> 20) & 3) === 0) {
      put(CLOSE, 0);
      open--;
    }
  }
  for (; open > 0; open--) put(CLOSE, 0);
  put(END, 0);
  return { kinds: Uint8Array.from(kinds), values: Float64Array.from(values) };
}

/** The result of an operator; it stays small. */
const apply = (kind, a, b) => (kind & 1 ? a * 0.5 - b * 0.25 : a * 0.25 + b * 0.5);

/** A parser by precedence climbing; `leaf` and `branch` make the nodes. */
function parserOf({ kinds, values }, leaf, branch) {
  let at = 0;
  function primary() {
    const start = at;
    if (kinds[at] === OPEN) {
      at++;
      const inner = expression(OPERATOR);
      at++;
      return inner;
    }
    return leaf(start, values[at++]);
  }
  function expression(lowest) {
    let left = primary();
    for (let kind = kinds[at]; kind >= lowest && kind !== END; kind = kinds[at]) {
      const start = at++;
      const right = expression(kind + 1);
      left = branch(kind, start, left, right);
    }
    return left;
  }
  return () => {
    at = 0;
    return expression(OPERATOR);
  };
}

const result = (parse, walk, drop) => {
  const total = new Float64Array(1);
  return {
    batch() {
      const root = parse();
      total[0] += walk(root);
      drop?.(root);
    },
    checksum: () => total[0],
  };
};

// oxlint-disable-next-line no-extraneous-class
class NodeObject {
  constructor(kind, at, left, right, value) {
    this.kind = kind;
    this.at = at;
    this.left = left;
    this.right = right;
    this.value = value;
    this.length = 1;
  }
}

/** Evaluates the tree, and stores in each node the size of its subtree. */
function walkObjects(node) {
  if (node.left === undefined) return node.value;
  const value = apply(node.kind, walkObjects(node.left), walkObjects(node.right));
  node.length = node.left.length + node.right.length + 1;
  return value + (node.length & 15) * 0.125;
}

const ofObjects = (make) => (tokens) =>
  result(
    parserOf(
      tokens,
      (at, value) => make(NUMBER, at, undefined, undefined, value),
      (kind, at, left, right) => make(kind, at, left, right, 0.5),
    ),
    walkObjects,
  );

function pooledObjects(tokens) {
  const unused = [];
  function make(kind, at, left, right, value) {
    if (unused.length === 0) return new NodeObject(kind, at, left, right, value);
    const node = unused.pop();
    node.kind = kind;
    node.at = at;
    node.left = left;
    node.right = right;
    node.value = value;
    node.length = 1;
    return node;
  }
  function drop(node) {
    if (node.left !== undefined) {
      drop(node.left);
      drop(node.right);
    }
    unused.push(node);
  }
  return result(
    parserOf(
      tokens,
      (at, value) => make(NUMBER, at, undefined, undefined, value),
      (kind, at, left, right) => make(kind, at, left, right, 0.5),
    ),
    walkObjects,
    drop,
  );
}

/** In linear memory, by views: a node is an address, and 0 is none. */
function inHeap(tokens, nodes, byArena) {
  const heap = heapFor([nodes, byArena ? 3 * SIZE : SIZE]);
  const { u32: words, f64: numbers } = heap.views;
  const from = byArena ? createArena({ heap, bytes: nodes * SIZE }) : heap.create({ size: SIZE, minNr: 0 });
  const take = byArena ? () => must(from.alloc(SIZE)) : () => must(from.alloc());
  function make(kind, at, left, right, value) {
    const node = take();
    const i = node >>> 2;
    words[i] = kind;
    words[i + 1] = at;
    words[i + 2] = left;
    words[i + 3] = right;
    numbers[(node >>> 3) + 2] = value;
    words[i + 6] = 1;
    return node;
  }
  function walk(node) {
    const i = node >>> 2;
    const left = words[i + 2];
    if (left === 0) return numbers[(node >>> 3) + 2];
    const right = words[i + 3];
    const value = apply(words[i], walk(left), walk(right));
    const length = words[(left >>> 2) + 6] + words[(right >>> 2) + 6] + 1;
    words[i + 6] = length;
    return value + (length & 15) * 0.125;
  }
  function drop(node) {
    const left = words[(node >>> 2) + 2];
    if (left !== 0) {
      drop(left);
      drop(words[(node >>> 2) + 3]);
    }
    from.free(node);
  }
  return result(
    parserOf(
      tokens,
      (at, value) => make(NUMBER, at, 0, 0, value),
      (kind, at, left, right) => make(kind, at, left, right, 0.5),
    ),
    walk,
    byArena ? () => from.reset() : drop,
  );
}

function byCursor(tokens, nodes) {
  const heap = heapFor([nodes, SIZE]);
  const Node = nodeType();
  const pool = heap.create({ size: Node, minNr: 0 });
  const first = pool.alloc();
  const c = Node.at(heap, first);
  pool.free(first);
  function make(kind, at, left, right, value) {
    const node = must(pool.alloc());
    c.move(node);
    c.kind = kind;
    c.at = at;
    c.left = left;
    c.right = right;
    c.value = value;
    c.length = 1;
    return node;
  }
  const lengthOf = (node) => c.move(node).length;
  function walk(node) {
    c.move(node);
    const { left } = c;
    if (left === 0) return c.value;
    const { right, kind } = c;
    const value = apply(kind, walk(left), walk(right));
    const length = lengthOf(left) + lengthOf(right) + 1;
    c.move(node).length = length;
    return value + (length & 15) * 0.125;
  }
  function drop(node) {
    c.move(node);
    const { left } = c;
    if (left !== 0) {
      const { right } = c;
      drop(left);
      drop(right);
    }
    pool.free(node);
  }
  return result(
    parserOf(
      tokens,
      (at, value) => make(NUMBER, at, 0, 0, value),
      (kind, at, left, right) => make(kind, at, left, right, 0.5),
    ),
    walk,
    drop,
  );
}

/** By hand: an array for each field, filled anew for each tree. Node 0 is none. */
function inColumns(tokens, nodes) {
  const [kinds, ats, lefts, rights, lengths] = Array.from({ length: 5 }, () => new Uint32Array(nodes + 1));
  const values = new Float64Array(nodes + 1);
  let count = 0;
  function make(kind, at, left, right, value) {
    const node = ++count;
    kinds[node] = kind;
    ats[node] = at;
    lefts[node] = left;
    rights[node] = right;
    values[node] = value;
    lengths[node] = 1;
    return node;
  }
  function walk(node) {
    const left = lefts[node];
    if (left === 0) return values[node];
    const right = rights[node];
    const value = apply(kinds[node], walk(left), walk(right));
    const length = lengths[left] + lengths[right] + 1;
    lengths[node] = length;
    return value + (length & 15) * 0.125;
  }
  return result(
    parserOf(
      tokens,
      (at, value) => make(NUMBER, at, 0, 0, value),
      (kind, at, left, right) => make(kind, at, left, right, 0.5),
    ),
    walk,
    () => {
      count = 0;
    },
  );
}

const sides = {
  [names.views]: (tokens, nodes) => inHeap(tokens, nodes, false),
  [names.again]: (tokens, nodes) => inHeap(tokens, nodes, false),
  [names.arena]: (tokens, nodes) => inHeap(tokens, nodes, true),
  [names.cursors]: byCursor,
  [names.classes]: ofObjects((kind, at, left, right, value) => new NodeObject(kind, at, left, right, value)),
  [names.literals]: ofObjects((kind, at, left, right, value) => ({ kind, at, left, right, value, length: 1 })),
  [names.pool]: pooledObjects,
  [names.columns]: inColumns,
};

export const create = (side, { numbers }) => sides[side](tokensOf(numbers), 2 * numbers);

const tree = (numbers, more) => ({
  name: `ast-${(2 * numbers) / 1000}k`,
  title: `A parser's tree of ${(2 * numbers - 1).toLocaleString("en-US")} nodes`,
  workload:
    "A batch parses an expression into nodes of 32 bytes (kind, position, two children, a double, a length), walks the " +
    "tree to evaluate it, and drops it; an operation is one node.",
  params: { numbers },
  live: 2 * numbers - 1,
  perBatch: 2 * numbers - 1,
  span: "tree",
  sides: Object.keys(sides),
  ...more,
});

export const tables = [tree(500, { warm: 600, batches: 3000 }), tree(50_000, { warm: 16, batches: 60 })];
