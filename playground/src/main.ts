/** The page: code on the left, the heap that it works on beside it, drawn as by the inspector. */
import { bytes, Picture } from "../../inspector/src/picture.ts";
import { facts, Pools, showLegend, showThreads } from "../../inspector/src/panel.ts";
import { Times } from "../../inspector/src/history.ts";
import { themes, type Theme } from "../../inspector/src/states.ts";
import { Strip } from "../../inspector/src/strip.ts";
import { KIND, MapReader, RUN, RUN_WORDS, sourceOf, STATE, STATE_THREAD } from "../../src/inspect/heap-map.ts";
import "../../src/inspect.ts";
import { isIsolated, Session, work } from "./session.ts";
import { snippets } from "./snippets.ts";

/** Milliseconds between two pictures, and between two writes of what stands beside them. */
const PICTURE_MS = 50;
const BESIDE_MS = 250;
/** Lines of the log that stay. */
const LINES = 200;

const of = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;

function page(): void {
  const script = new URL("page.js", document.baseURI);
  const query = new URLSearchParams(location.search);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const themeNow = (): Theme =>
    themes[(query.get("theme") ?? (dark.matches ? "dark" : "light")) === "dark" ? "dark" : "light"];
  const code = of<HTMLTextAreaElement>("code");
  const picture = new Picture(of<HTMLCanvasElement>("heap"), of("scroller"), of("extent"));
  const strip = new Strip(of<HTMLCanvasElement>("strip"));
  const pools = new Pools(of("pools"));
  const times = new Times();

  const write = (text: unknown, kind = ""): void => {
    const item = document.createElement("li");
    item.className = kind;
    item.textContent = String(text);
    item.style.whiteSpace = "pre-wrap";
    of("log").append(item);
    if (of("log").children.length > LINES) of("log").firstElementChild!.remove();
    item.scrollIntoView({ block: "nearest" });
  };

  let session = new Session(write);
  let reader = new MapReader(sourceOf("playground", session.heap));
  function reset(): void {
    session.end();
    session = new Session(write);
    reader = new MapReader(sourceOf("playground", session.heap));
    picture.forget();
    pools.clear();
    times.clear();
    of("log").replaceChildren();
    write("a new heap of 1 MiB, with a pool of 16 elements in reserve");
  }

  async function run(title: string): Promise<void> {
    write(`> ${title}`, "code");
    try {
      await session.run(code.value, script);
    } catch (error) {
      write(error instanceof Error ? error.message : error, "error");
    }
    show();
  }

  // --------------------------------------------------------------------------------------------------------- picture

  let besideAt = 0;
  function show(): void {
    if (document.hidden) return;
    let map;
    try {
      map = reader.read();
    } catch {
      of("summary").textContent = "The heap has ended.";
      return;
    }
    times.note(map);
    picture.show(map);
    if (performance.now() - besideAt < BESIDE_MS) return;
    besideAt = performance.now();
    const theme = themeNow();
    let free = 0;
    for (let i = 0; i < map.runs.length; i += RUN_WORDS) {
      if (map.runs[i + RUN.kind] === KIND.free) free += map.runs[i + RUN.pages]! * 4096;
    }
    const threads = new Set<number>();
    for (const byte of map.states) if (byte >= STATE.cached) threads.add(byte & STATE_THREAD);
    of("summary").textContent =
      `${bytes(map.bytes - free)} of ${bytes(map.bytes)} used · ` +
      (isIsolated ? `workers: ${session.workers.length}` : "one thread: this page is not isolated");
    strip.draw(map, theme);
    pools.show(map, (serial) => times.of(serial), theme);
    showThreads(
      of("threads"),
      theme,
      [...threads].toSorted((a, b) => a - b),
    );
  }

  function applyTheme(): void {
    document.documentElement.style.colorScheme = query.get("theme") ?? "";
    picture.setTheme(themeNow());
    showLegend(of("legend"), themeNow(), false);
  }

  picture.canvas.addEventListener("pointermove", ({ offsetX, offsetY, clientX, clientY }) => {
    const spot = picture.map && picture.hitTest(offsetX, offsetY);
    const tip = of("tip");
    picture.hovered = spot;
    picture.redraw();
    tip.hidden = spot === undefined;
    if (!spot) return;
    tip.textContent = facts(picture.map!, spot)
      .map(([name, value]) => `${name} ${value}`)
      .join("\n");
    tip.style.left = `${Math.min(clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
  });
  picture.canvas.addEventListener("pointerleave", () => {
    picture.hovered = undefined;
    of("tip").hidden = true;
    picture.redraw();
  });

  // ------------------------------------------------------------------------------------------------------------ code

  for (const { title, code: text, isThreaded } of snippets) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = title;
    button.disabled = isThreaded === true && !isIsolated;
    button.addEventListener("click", () => {
      code.value = text;
      void run(title);
    });
    of("snippets").append(button);
  }
  of("needs").hidden = isIsolated;
  of("needs").textContent =
    "Workers need shared memory, so a page that is served with Cross-Origin-Opener-Policy: same-origin and " +
    "Cross-Origin-Embedder-Policy: require-corp. This one is not; all else works, in one thread.";
  of("run").addEventListener("click", () => void run("your code"));
  of("reset").addEventListener("click", reset);
  code.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void run("your code");
    }
  });
  dark.addEventListener("change", applyTheme);
  picture.size = 192;
  applyTheme();
  code.value = snippets[0]!.code;
  write("a heap of 1 MiB, with a pool of 16 elements in reserve: try the buttons, and change their code");
  show();
  setInterval(show, PICTURE_MS);
  /** For tests, and for programs that embed the page. */
  Object.assign(globalThis, { playground: { picture, run, reset, show, session: () => session } });
  // For pictures of this page: what it does first.
  void (async () => {
    for (const title of query.getAll("do")) {
      code.value = snippets.find((each) => each.title === title)!.code;
      await run(title);
    }
  })();
}

if (typeof document === "undefined") addEventListener("message", ({ data }) => work(data));
else page();
