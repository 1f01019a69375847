/** What there is to do to the heap, as code that people can change. */
export interface Snippet {
  readonly title: string;
  /** Whether it needs a second thread. */
  readonly isThreaded?: true;
  readonly code: string;
}

export const snippets: readonly Snippet[] = [
  {
    title: "Allocate",
    code: `// An element is an address: a number.
for (let i = 0; i < 40; i++) {
  const at = pool.alloc();
  if (at === 0) break; // no memory, and no reserve: alloc never throws for that
  held.push(at);
}
log(\`\${pool.outstanding} outstanding, \${pool.currNr} of \${pool.minNr} in reserve\`);`,
  },
  {
    title: "Free",
    code: `while (held.length > 0) pool.free(held.pop());
log(\`\${pool.outstanding} outstanding, \${pool.currNr} of \${pool.minNr} in reserve\`);`,
  },
  {
    title: "Hoard",
    code: `// Somebody takes all memory that there is ...
const hog = heap.create({ name: "hog", size: 4096, minNr: 0 });
while (hog.alloc() !== 0);
log(\`\${hog.outstanding} elements of 4096 bytes are hoarded; memory is gone\`);

// ... and these come all the same, out of the reserve.
while (pool.currNr > pool.minNr / 2) held.push(pool.alloc());
log(\`\${pool.currNr} of \${pool.minNr} in reserve\`);`,
  },
  {
    title: "Wait",
    code: `// Without an element, and without a reserve, a caller may wait.
for (let at; (at = pool.alloc()) !== 0;) held.push(at);
setTimeout(() => pool.free(held.pop()), 1000);
log("nothing is left; waiting for a free ...");
held.push(await pool.allocAsync({ timeout: 5000 }));
log("here it is");`,
  },
  {
    title: "Resize",
    code: `// Another number of elements in reserve, at any time.
const isFull = pool.resize(pool.minNr === 16 ? 32 : 16);
log(\`minNr is \${pool.minNr}; \${isFull ? "the reserve is full" : "later frees fill the reserve"}\`);`,
  },
  {
    title: "Reshape",
    code: `// Another size: new elements have it from now on; old ones stay as they are until they are freed.
pool.reshape(pool.elementSize === 256 ? 640 : 256);
log(\`new elements have \${pool.elementSize} bytes\`);
if (held.length > 0) log(\`\${held[0]} still has \${pool.sizeOf(held[0])}\`);`,
  },
  {
    title: "Double free",
    code: `const at = pool.alloc();
pool.free(at);
pool.free(at); // refused, and nothing has changed`,
  },
  {
    title: "Start a worker",
    isThreaded: true,
    code: `// A thread that allocates and frees for itself, until it is killed.
const worker = startWorker();
log(\`\${workers.length} workers\`);`,
  },
  {
    title: "Kill a worker",
    isThreaded: true,
    code: `// In the middle of anything. heap.watch sees it, takes back what it had cached, and lists what it held.
const worker = workers.shift();
if (!worker) throw new Error("there is no worker: start one first");
worker.terminate();
log("killed; its elements come home ...");`,
  },
  {
    title: "Check",
    code: `const problems = heap.check();
log(problems.length === 0 ? "the heap is sound" : problems.join("\\n"));
log(heap.table());`,
  },
];
