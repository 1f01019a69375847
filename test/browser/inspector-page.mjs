/** Opens the inspector in frames, uses it as a person does, and posts what it saw to the server. */

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `condition` gives a value; the caller's time limit ends it. */
async function until(condition) {
  for (;;) {
    const value = condition();
    if (value) return value;
    await wait(10);
  }
}

async function open(query) {
  const frame = document.createElement("iframe");
  frame.style = "width: 1000px; height: 700px; border: 0";
  frame.src = `/inspector/index.html${query}`;
  document.body.replaceChildren(frame);
  await new Promise((resolve) => frame.addEventListener("load", resolve));
  const window = frame.contentWindow;
  await until(() => window.inspector);
  const of = (id) => window.document.getElementById(id);
  return { window, of, inspector: window.inspector, picture: window.inspector.picture, canvas: of("heap") };
}

const file = async (name) => new Uint8Array(await (await fetch(`/${name}`)).arrayBuffer());

const frameOf = (window) => new Promise((resolve) => window.requestAnimationFrame(() => resolve()));

async function openDemo(query = "") {
  const page = await open(`?demo&alone&steps=30&theme=light${query}`);
  await until(() => page.window.demoIsDone);
  // The map that the demo ended with.
  const { outstanding } = page.window.demoPools[0];
  await until(() => page.picture.map?.pools[0]?.outstanding === outstanding);
  page.of("pause").click();
  page.picture.draw();
  return page;
}

/** The spots in a state. */
function* spots({ inspector, picture }, state) {
  const { runs } = picture.map;
  for (let run = 0; run < runs.length / 14; run++) {
    // Slabs of pools.
    if (picture.word(run, 1) !== 3) continue;
    for (let index = 0; index < picture.word(run, 8); index++) {
      const spot = picture.spot(run, index);
      if (inspector.stateOf(spot.byte) === state) yield spot;
    }
  }
}

function press({ window, canvas }, key) {
  canvas.dispatchEvent(new window.KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
}

const tests = {
  /** One element of each state: the canvas shows its mark where hitTest finds it. */
  async states() {
    const page = await openDemo();
    const { picture, canvas } = page;
    const context = canvas.getContext("2d");
    const seen = {};
    // Waiting calls trim this heap, so nothing stays cached; and only a debug heap has a quarantine.
    const [one, other] = spots(page, "free");
    const { states } = picture.map;
    states[picture.word(one.run, 13) + one.index] = 0x40;
    states[picture.word(other.run, 13) + other.index] = 0x08;
    picture.show(picture.map);
    for (const state of ["never", "free", "cached", "reserved", "live", "quarantined"]) {
      const spot = spots(page, state).next().value;
      picture.reveal(spot);
      picture.draw();
      const { x, y, size } = picture.placeOf(spot);
      const hit = picture.hitTest(x, y);
      const left = Math.round(x - size / 2);
      const top = Math.round(y - size / 2);
      const at = (dx, dy) => Array.from(context.getImageData(left + dx, top + dy, 1, 1).data.slice(0, 3));
      const side = Math.round(size) - 1;
      seen[state] = {
        found: hit?.address === spot.address,
        corner: at(0, 0),
        inside: at(2, 2),
        middle: at(side >> 1, side >> 1),
        size,
      };
    }
    return seen;
  },

  /** The page's states against the pools'. */
  async counts() {
    const page = await openDemo();
    const [particles] = page.window.demoPools;
    const live = [...spots(page, "live")].filter(
      ({ run }) => page.picture.word(run, 3) === page.picture.map.pools[0].serial,
    );
    const { outstanding } = particles;
    return { live: live.length, outstanding, pools: page.picture.map.pools.map(({ name }) => name) };
  },

  async keys() {
    const page = await openDemo();
    const { picture, of, canvas } = page;
    canvas.focus();
    const at = () => [picture.layout.rankOf(picture.selected.run), picture.selected.index];
    const seen = {};
    for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "PageDown", "]", "[", "End", "Home"]) {
      press(page, key);
      seen[`${Object.keys(seen).length} ${key}`] = at();
    }
    const columns = picture.layout.gridOf(picture.word(picture.selected.run, 8)).columns;
    const spoken = of("spoken").textContent;
    press(page, "Enter");
    const size = picture.size;
    press(page, "+");
    const larger = picture.size;
    press(page, "t");
    const rows = of("table").querySelectorAll("tbody tr").length;
    const isTable = !of("table").hidden && of("picture").hidden;
    const focus = page.window.document.activeElement.id;
    return { seen, columns, spoken, element: of("element").textContent, size, larger, rows, isTable, focus };
  },

  async hover() {
    const page = await openDemo();
    const spot = spots(page, "live").next().value;
    const { x, y } = page.picture.placeOf(spot);
    const { left, top } = page.canvas.getBoundingClientRect();
    const about = { clientX: left + x, clientY: top + y, bubbles: true };
    page.canvas.dispatchEvent(new page.window.PointerEvent("pointermove", about));
    const tip = page.of("tip").textContent;
    page.canvas.dispatchEvent(new page.window.MouseEvent("click", about));
    const selected = page.picture.selected?.address === spot.address;
    page.canvas.dispatchEvent(new page.window.PointerEvent("pointerleave", about));
    return { tip, address: page.inspector.hex(spot.address), selected, hidden: page.of("tip").hidden };
  },

  /** Time passes: an element's states, seen from maps. */
  async history() {
    const page = await open("?demo&alone&theme=light");
    const pool = await until(() => page.window.demoPools?.[0]);
    await until(() => page.picture.map);
    const element = pool.alloc();
    await until(() => page.picture.spotOf(element)?.byte >= 0x80);
    pool.free(element);
    await until(() => page.picture.spotOf(element).byte < 0x80);
    const spot = page.picture.spotOf(element);
    page.inspector.select(spot, false);
    const changes = page.inspector.changes.of(element, 10).map(({ to }) => page.inspector.stateOf(to));
    return { changes: changes.slice(0, 1), text: page.of("element").textContent };
  },

  async frames() {
    const page = await open("?demo&alone&steps=0&slabs=10000&theme=light");
    await until(() => page.window.demoIsDone && page.picture.map);
    page.of("pause").click();
    await frameOf(page.window);
    const { picture, of } = page;
    const scroller = of("scroller");
    const result = { slabs: picture.map.runs.length / 14, elements: picture.map.states.length };
    for (const size of [16, 48, 128]) {
      picture.size = size;
      picture.draw();
      const times = [];
      let most = { slabs: 0, elements: 0, calls: 0 };
      const longest = scroller.scrollHeight - scroller.clientHeight;
      for (let i = 0; i < 60; i++) {
        scroller.scrollTop = (longest * i) / 60;
        picture.draw();
        times.push(picture.stats.ms);
        const { slabs, elements, calls } = picture.stats;
        most = {
          slabs: Math.max(most.slabs, slabs),
          elements: Math.max(most.elements, elements),
          calls: Math.max(most.calls, calls),
        };
      }
      times.sort((a, b) => a - b);
      result[size] = { ...most, median: times[30], slowest: times.at(-1) };
    }
    // Scrolling by less than the window's height draws what comes into sight, and moves the rest.
    for (const size of [16, 48, 128]) {
      picture.size = size;
      scroller.scrollTop = 200;
      picture.draw();
      const whole = picture.stats.slabs;
      const most = { slabs: 0, elements: 0, rows: Math.ceil(40 / (picture.layout.tile + picture.layout.gap)) + 1 };
      for (const by of Array.from({ length: 60 }, (_, i) => (i < 40 ? 40 : -40))) {
        scroller.scrollTop += by;
        picture.draw();
        most.slabs = Math.max(most.slabs, picture.stats.slabs);
        most.elements = Math.max(most.elements, picture.stats.elements);
      }
      const moved = picture.raster.pixels.slice();
      picture.draw();
      const still = picture.stats.slabs;
      picture.show(picture.map);
      picture.draw();
      const differing = moved.filter((word, i) => word !== picture.raster.pixels[i]).length;
      result[`scroll${size}`] = { ...most, columns: picture.layout.columns, whole, still, differing };
    }
    // What the browser gets through while it does nothing, and while it scrolls.
    const idle = performance.now();
    for (let i = 0; i < 60; i++) await frameOf(page.window);
    result.idleMsPerFrame = (performance.now() - idle) / 60;
    const began = performance.now();
    let drawing = 0;
    for (let i = 0; i < 60; i++) {
      scroller.scrollTop += 40;
      await frameOf(page.window);
      drawing += picture.stats.ms;
    }
    result.msPerFrame = (performance.now() - began) / 60;
    result.drawingMsPerFrame = drawing / 60;
    return result;
  },

  /** The texts on the picture that are wider than the room behind their beginning, by the window's width. */
  async narrow() {
    const page = await openDemo();
    const { window, picture, canvas } = page;
    const { prototype } = window.CanvasRenderingContext2D;
    const { fillText } = prototype;
    const result = {};
    for (const width of [1000, 390, 320]) {
      window.frameElement.style.width = `${width}px`;
      await until(() => canvas.clientWidth <= width);
      const texts = [];
      prototype.fillText = function (text, x, y, most = Infinity) {
        const isLeft = this.textAlign === "left";
        if (isLeft) texts.push([text, x + Math.min(most, this.measureText(text).width) <= this.canvas.width]);
        return fillText.call(this, text, x, y, most === Infinity ? undefined : most);
      };
      picture.draw();
      prototype.fillText = fillText;
      result[width] = { seen: texts.map(([text]) => text), clipped: texts.filter(([, fits]) => !fits) };
    }
    return result;
  },

  async dump() {
    const page = await open("?theme=light");
    const { inspector, of, picture } = page;
    const dump = await file("heap.dump");
    inspector.open("heap.dump", dump);
    const names = picture.map.pools.map(({ name, outstanding, currNr }) => [name, outstanding, currNr]);
    const live = [...spots(page, "live")];
    inspector.open("memory", await file("heap.memory"));
    const fromMemory = picture.map.pools.map(({ name, outstanding }) => [name, outstanding]);
    const problems = [];
    const bad = (name, bytes) => {
      inspector.open(name, bytes);
      problems.push(of("problem").hidden ? "none" : of("problem").textContent);
    };
    bad("none", new Uint8Array());
    bad("text", new TextEncoder().encode("hello, world"));
    bad("short", dump.slice(0, 5000));
    const flipped = dump.slice();
    flipped[flipped.length - 9] ^= 1;
    bad("flipped", flipped);
    const newer = dump.slice();
    newer[8] = 9;
    bad("newer", newer);
    return { names, live: live.length, fromMemory, problems };
  },

  async debugDump() {
    const page = await open("?theme=light");
    const { inspector, of, picture } = page;
    inspector.open("debug.dump", await file("debug.dump"));
    const states = {};
    for (const state of ["live", "quarantined", "reserved"]) states[state] = [...spots(page, state)].length;
    inspector.select(spots(page, "live").next().value, false);
    return { pools: picture.map.pools.map(({ name }) => name), states, text: of("element").textContent };
  },

  /** Another thread shows a heap in which a third one works and never pauses. */
  async live() {
    const page = await open("?channel=test&theme=light");
    const { picture } = page;
    const worker = new Worker("/inspector-worker.js", { type: "module" });
    const said = [];
    worker.addEventListener("message", ({ data }) => said.push(data));
    await until(() => picture.map);
    const first = picture.map;
    const changed = new Set();
    const threads = () => [...new Set([...spots(page, "live")].map(({ byte }) => byte & 63))];
    let maps = 0;
    for (let last = first; maps < 20 || changed.size === 0 || !threads().includes(1); await wait(5)) {
      if (picture.map === last) continue;
      maps++;
      for (let i = 0; i < picture.map.states.length; i++) if (picture.map.states[i] !== last.states[i]) changed.add(i);
      last = picture.map;
    }
    const seen = threads();
    const before = await until(() => said.at(-1));
    const after = await until(() => said.at(-1) > before && said.at(-1));
    worker.postMessage("stop");
    await until(() => page.of("program").options.length === 0);
    return {
      pools: first.pools.map(({ name }) => name),
      changes: changed.size > 0,
      threads: seen,
      goesOn: after > before,
    };
  },
};

const results = {};
for (const [name, test] of Object.entries(tests)) {
  try {
    results[name] = await test();
  } catch (error) {
    results[name] = { error: `${error}\n${error.stack}` };
  }
}
await fetch("/", { method: "POST", body: JSON.stringify({ agent: navigator.userAgent, ...results }) });
