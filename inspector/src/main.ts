/** The page: puts the parts together, and obeys mouse and keys. */
import { importedInspector, sharedInspector } from "../../src/core/inspectors.ts";
import { debugInspectors, inspectors } from "../../src/core/inspection.ts";
import { importedDebugCore, sharedDebugCore } from "../../src/debug/modules.ts";
import { KIND, RUN, RUN_WORDS, STATE, STATE_THREAD, type HeapMap } from "../../src/inspect/heap-map.ts";
import { TAG } from "../../src/inspector/protocol.ts";
import { openFile, type Opened } from "./files.ts";
import { Changes, Times } from "./history.ts";
import { Live } from "./live.ts";
import { facts, hex, Pools, showElement, showLegend, showTable, showThreads } from "./panel.ts";
import { bytes, Picture, type Spot } from "./picture.ts";
import { describeState, stateOf, themes, threadOf, type Theme } from "./states.ts";
import { Strip } from "./strip.ts";

inspectors.provide({ imported: importedInspector, shared: sharedInspector });
debugInspectors.provide({ imported: importedDebugCore, shared: sharedDebugCore });

const of = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;
const query = new URLSearchParams(location.search);
const dark = matchMedia("(prefers-color-scheme: dark)");
const themeNow = (): Theme =>
  themes[(query.get("theme") ?? (dark.matches ? "dark" : "light")) === "dark" ? "dark" : "light"];

const canvas = of<HTMLCanvasElement>("heap");
const picture = new Picture(canvas, of("scroller"), of("extent"));
const strip = new Strip(of<HTMLCanvasElement>("strip"));
const pools = new Pools(of("pools"));
const changes = new Changes();
const times = new Times();
let recordOf: Opened["recordOf"] = () => undefined;
let shown: string | undefined;
let isPaused = false;
let legendKey = "";
let besideAt = 0;

/** Milliseconds between two writes of what stands beside the picture. */
const BESIDE_MS = 200;

function say(problem: string | undefined): void {
  of("problem").hidden = problem === undefined;
  of("problem").textContent = problem ?? "";
}

function begin(program: string | undefined): void {
  shown = program;
  recordOf = () => undefined;
  changes.clear();
  times.clear();
  pools.clear();
  picture.forget();
  of("tip").hidden = true;
}

function show(map: HeapMap, changed: Uint32Array | undefined, source: string): void {
  const before = picture.map;
  if (before && before.address === map.address) changes.note(before, map, changed, performance.now());
  times.note(map);
  picture.show(map);
  if (query.has("select") && !picture.selected) selectForPicture(map);
  if (query.has("hold") && map.pools[0]!.cached > 0 && (globalThis as { demoIsDone?: true }).demoIsDone) hold();
  const at = performance.now();
  if (at - besideAt < BESIDE_MS) return;
  besideAt = at;
  beside(source);
}

/** For pictures of this page: `hold` ends the demo's maps at one that has cached elements. */
function hold(): void {
  togglePause();
  besideAt = 0;
}

/** For pictures of this page: `select=N` selects the first live element of pool N. */
function selectForPicture({ pools: known, runs }: HeapMap): void {
  const serial = known[Number(query.get("select"))]?.serial;
  for (let run = 0; run < runs.length / RUN_WORDS; run++) {
    if (picture.word(run, RUN.kind) !== KIND.slab || picture.word(run, RUN.serial) !== serial) continue;
    for (let index = 0; index < picture.word(run, RUN.count); index++) {
      const spot = picture.spot(run, index);
      if (stateOf(spot.byte!) === "live") return select(spot, false);
    }
  }
}

/** What stands beside the picture. */
function beside(source: string): void {
  const map = picture.map!;
  const theme = themeNow();
  const slabs = countKind(map, KIND.slab);
  const free = bytesOfKind(map, KIND.free);
  of("summary").textContent =
    `${source} · ${bytes(map.bytes - free)} of ${bytes(map.bytes)} used, at most ${bytes(map.maximum)} · ` +
    `${map.pools.length} pools · ${slabs} slabs${map.isShared ? " · several threads" : ""}`;
  strip.draw(map, theme);
  pools.show(map, (serial) => times.of(serial), theme);
  legend(map, theme);
  if (!of("table").hidden) showTable(of("table"), map);
  const { selected } = picture;
  if (!selected) return;
  showSelected();
  // By now it is held for longer, or by another.
  if (shown !== undefined) live.ask(shown, selected.address);
}

function countKind({ runs }: HeapMap, kind: number): number {
  let n = 0;
  for (let i = 0; i < runs.length; i += RUN_WORDS) if (runs[i + RUN.kind] === kind) n++;
  return n;
}

function bytesOfKind({ runs }: HeapMap, kind: number): number {
  let n = 0;
  for (let i = 0; i < runs.length; i += RUN_WORDS) if (runs[i + RUN.kind] === kind) n += runs[i + RUN.pages]! * 4096;
  return n;
}

function legend({ states }: HeapMap, theme: Theme): void {
  const seen = new Uint8Array(256);
  for (let i = 0; i < states.length; i++) seen[states[i]!] = 1;
  const threads = new Set<number>();
  for (let byte: number = STATE.cached; byte < 256; byte++) if (seen[byte]) threads.add(byte & STATE_THREAD);
  const sorted = [...threads].toSorted((a, b) => a - b);
  const key = `${theme.paper} ${sorted.join()} ${seen[STATE.quarantined]}`;
  if (key === legendKey) return;
  legendKey = key;
  showLegend(of("legend"), theme, seen[STATE.quarantined] === 1);
  showThreads(of("threads"), theme, sorted);
}

// ------------------------------------------------------------------------------------------------------------ sources

const live = new Live({
  programs(names) {
    const list = of<HTMLSelectElement>("program");
    list.replaceChildren(...[...names].map(([program, name]) => new Option(name, program, false, program === shown)));
    of("listen").setAttribute("aria-pressed", String(live.isListening));
    if (names.size === 0 && live.isListening) of("summary").textContent = "Listening: no program shows a heap.";
  },
  map(program, map, changed) {
    if (shown === undefined || !isKnown(shown)) begin(program);
    if (program === shown && !isPaused) show(map, changed, nameOf(program));
  },
  element({ program, address, site, heldMs }) {
    if (program !== shown) return;
    const isKnown = site !== undefined || heldMs !== undefined;
    recordOf = (element) => (isKnown && element === address ? { site, heldMs } : undefined);
    if (picture.selected?.address === address) showSelected();
  },
});

const optionOf = (program: string): HTMLOptionElement | undefined =>
  [...of<HTMLSelectElement>("program").options].find(({ value }) => value === program);
const isKnown = (program: string): boolean => optionOf(program) !== undefined;
const nameOf = (program: string): string => optionOf(program)?.text ?? program;

function listen(): void {
  say(undefined);
  if (live.isListening) {
    live.stop();
    return;
  }
  live.listen(new BroadcastChannel(query.get("channel") ?? TAG));
  of("listen").setAttribute("aria-pressed", "true");
  if (!shown) of("summary").textContent = "Listening: no program shows a heap yet.";
}

function open(name: string, file: Uint8Array): void {
  try {
    const opened = openFile(name, file);
    live.stop();
    begin(name);
    recordOf = opened.recordOf;
    besideAt = 0;
    say(undefined);
    show(opened.map, undefined, opened.date ? `${name}, ${opened.date}` : name);
    of("scroller").scrollTop = 0;
  } catch (error) {
    say((error as Error).message);
  }
}

async function openBlob(file: File | undefined): Promise<void> {
  if (file) open(file.name, new Uint8Array(await file.arrayBuffer()));
}

/** A small real heap, in this page: a script of its own, with the core. */
function runDemo(): void {
  const script = document.createElement("script");
  script.src = new URL("demo.js", document.baseURI).href;
  const { port1, port2 } = new MessageChannel();
  script.addEventListener("load", () => {
    (globalThis as unknown as { demo(port: MessagePort, options: URLSearchParams): void }).demo(port2, query);
    live.stop();
    begin(undefined);
    live.listen(port1);
    of("listen").setAttribute("aria-pressed", "true");
  });
  script.addEventListener("error", () => say("demo.js is not beside this page"));
  document.head.append(script);
  of<HTMLButtonElement>("demo").disabled = true;
}

// -------------------------------------------------------------------------------------------------------------- input

/** An element in a few words, for the tip and for screen readers. */
function wordsOf(spot: Spot): string {
  return facts(picture.map!, spot)
    .map(([name, value]) => (name === "state" || name === "what" ? value : `${name} ${value}`))
    .join("\n");
}

function showTip(spot: Spot | undefined, x: number, y: number): void {
  const tip = of("tip");
  tip.hidden = spot === undefined;
  if (!spot) return;
  tip.textContent = wordsOf(spot);
  const left = Math.min(x + 14, innerWidth - tip.offsetWidth - 8);
  tip.style.left = `${left}px`;
  tip.style.top = `${y + 16 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 8 : y + 16}px`;
}

function showSelected(): void {
  const spot = picture.selected!;
  showElement(of("element"), picture.map!, spot, changes.of(spot.address, 40), recordOf(spot.address));
}

function select(spot: Spot | undefined, isSpoken: boolean): void {
  picture.selected = spot;
  picture.redraw();
  if (!spot) return;
  picture.reveal(spot);
  showSelected();
  if (shown !== undefined) live.ask(shown, spot.address);
  if (isSpoken) of("spoken").textContent = wordsOf(spot).replaceAll("\n", ", ");
}

/** The run `by` runs on, in the order of the picture. */
function runFrom(run: number, by: number): number {
  const { order } = picture.layout;
  const rank = Math.min(order.length - 1, Math.max(0, picture.layout.rankOf(run) + by));
  return order[rank]!;
}

const countOf = (run: number): number => (picture.isSlab(run) ? picture.word(run, RUN.count) : 1);
const spotIn = (run: number, index: number): Spot =>
  picture.spot(run, picture.isSlab(run) ? Math.min(Math.max(0, index), picture.word(run, RUN.count) - 1) : undefined);

function step(by: number): void {
  const { run, index = 0 } = picture.selected!;
  const to = index + by;
  if (to >= 0 && to < countOf(run)) return select(spotIn(run, to), true);
  const next = runFrom(run, Math.sign(by));
  if (next !== run) select(spotIn(next, by > 0 ? 0 : Infinity), true);
}

function stepPool(by: number): void {
  const { sections, order } = picture.layout;
  const at = sections.indexOf(picture.layout.sectionOf(picture.layout.rankOf(picture.selected!.run))!);
  for (let i = at + by; i >= 0 && i < sections.length; i += by) {
    if (sections[i]!.count > 0) return select(spotIn(order[sections[i]!.first]!, 0), true);
  }
}

const moves: Readonly<Record<string, () => void>> = {
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  ArrowDown: () => step(picture.layout.gridOf(countOf(picture.selected!.run)).columns),
  ArrowUp: () => step(-picture.layout.gridOf(countOf(picture.selected!.run)).columns),
  PageDown: () => select(spotIn(runFrom(picture.selected!.run, 1), picture.selected!.index ?? 0), true),
  PageUp: () => select(spotIn(runFrom(picture.selected!.run, -1), picture.selected!.index ?? 0), true),
  Home: () => select(spotIn(picture.layout.order[0]!, 0), true),
  End: () => select(spotIn(picture.layout.order.at(-1)!, 0), true),
  "]": () => stepPool(1),
  "[": () => stepPool(-1),
  Enter: () => {
    select(picture.selected, true);
    of("spoken").textContent = of("element").textContent;
  },
};

const commands: Readonly<Record<string, () => void>> = {
  "+": () => picture.zoom(1),
  "=": () => picture.zoom(1),
  "-": () => picture.zoom(-1),
  t: toggleTable,
  " ": togglePause,
};

canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !picture.map) return;
  const move = moves[event.key];
  const act = move ?? commands[event.key];
  if (!act) return;
  event.preventDefault();
  // The first key goes to the first element.
  if (move && !picture.selected && picture.layout.order.length > 0) select(spotIn(picture.layout.order[0]!, 0), true);
  else act();
});

function toggleTable(): void {
  const isTable = of("table").hidden;
  of("table").hidden = !isTable;
  of("picture").hidden = isTable;
  of("view").setAttribute("aria-pressed", String(isTable));
  if (isTable && picture.map) showTable(of("table"), picture.map);
  (isTable ? of("table") : canvas).focus();
}

function togglePause(): void {
  isPaused = !isPaused;
  of("pause").setAttribute("aria-pressed", String(isPaused));
}

canvas.addEventListener("pointermove", ({ offsetX, offsetY, clientX, clientY }) => {
  picture.hovered = picture.hitTest(offsetX, offsetY);
  showTip(picture.hovered, clientX, clientY);
  picture.redraw();
});
canvas.addEventListener("pointerleave", () => {
  picture.hovered = undefined;
  showTip(undefined, 0, 0);
  picture.redraw();
});
canvas.addEventListener("click", ({ offsetX, offsetY }) => select(picture.hitTest(offsetX, offsetY), true));
of("table").addEventListener("keydown", ({ key }) => key === "t" && toggleTable());
strip.canvas.addEventListener("click", ({ offsetX }) => {
  const { map } = picture;
  const spot = map && picture.spotOf((map.runs[0]! + strip.pageAt(offsetX)) * 4096);
  if (spot) select(spotIn(spot.run, spot.index ?? 0), true);
});
of("smaller").addEventListener("click", () => picture.zoom(-1));
of("larger").addEventListener("click", () => picture.zoom(1));
of("view").addEventListener("click", toggleTable);
of("pause").addEventListener("click", togglePause);
of("listen").addEventListener("click", listen);
of("demo").addEventListener("click", runDemo);
of("program").addEventListener("change", () => begin(of<HTMLSelectElement>("program").value));
of("file").addEventListener("change", () => void openBlob(of<HTMLInputElement>("file").files?.[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  void openBlob(event.dataTransfer?.files[0]);
});
// A program that opened this page may post a port of its own.
addEventListener("message", ({ data, ports }) => {
  if ((data as { tag?: unknown } | null)?.tag !== TAG || !ports[0]) return;
  live.listen(ports[0]);
  of("listen").setAttribute("aria-pressed", "true");
});

function applyTheme(): void {
  document.documentElement.style.colorScheme = query.get("theme") ?? "";
  picture.setTheme(themeNow());
  if (picture.map) beside(of("summary").textContent!.split(" · ")[0]!);
}
dark.addEventListener("change", applyTheme);
applyTheme();
if (query.has("table")) toggleTable();
if (query.has("size")) picture.size = Number(query.get("size"));
legend({ states: new Uint8Array() } as HeapMap, themeNow());

/** For tests, and for programs that embed the page. */
Object.assign(globalThis, {
  inspector: { picture, changes, times, open, select, hex, describeState, stateOf, threadOf, listen, runDemo, say },
});
if (query.has("demo")) runDemo();
else if (query.has("channel")) listen();
