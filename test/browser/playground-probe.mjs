/** A user of the playground: see playground.test.ts. */
const errors = [];
addEventListener("error", ({ message }) => {
  // Firefox says so of any observer that changes its element's size.
  if (!message.startsWith("ResizeObserver loop")) errors.push(message);
});
addEventListener("unhandledrejection", ({ reason }) => errors.push(String(reason)));

const { picture, session, show } = globalThis.playground;
const log = document.getElementById("log");
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const buttonOf = (title) => [...document.querySelectorAll("button")].find(({ textContent }) => textContent === title);

async function until(holds) {
  for (const end = Date.now() + 120_000; !holds(); await sleep(10)) {
    if (Date.now() > end) throw new Error(`the page stays at:\n${log.innerText}`);
  }
}

/** The state bytes of the pools' live elements, as they are drawn; but not of the allocator's own records. */
function live() {
  const { runs, states } = picture.map;
  const found = [];
  for (let i = 0; i < runs.length; i += 14) {
    if (runs[i + 1] !== 3) continue;
    found.push(...states.subarray(runs[i + 13], runs[i + 13] + runs[i + 8]).filter((byte) => byte >= 0x80));
  }
  return found;
}
const ofWorkers = () => live().filter((byte) => (byte & 0x3f) > 0).length;

/** Presses a button, waits for so many lines of the log, and tells what there is then. */
async function press(title, lines) {
  log.replaceChildren();
  buttonOf(title).click();
  await until(() => log.children.length >= lines);
  show();
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const { width, height } = picture.canvas;
  const data = picture.canvas.getContext("2d").getImageData(0, 0, width, height).data;
  return {
    lines: [...log.children].map(({ textContent }) => textContent),
    isError: log.lastElementChild.className === "error",
    live: live().length,
    pixels: data.reduce((sum, byte, i) => (sum + byte * (i % 251)) % 2 ** 31, 0),
  };
}

async function threaded() {
  if (!crossOriginIsolated) {
    const disabled = [...document.querySelectorAll("button")].filter((button) => button.disabled).length;
    return { disabled, needs: document.getElementById("needs").innerText };
  }
  await press("Start a worker", 2);
  await until(() => ofWorkers() > 10);
  const held = ofWorkers();
  const threads = [...new Set(live().map((byte) => byte & 0x3f))];
  const { lines } = await press("Kill a worker", 3);
  await until(() => ofWorkers() === 0);
  return { threads, held, after: session().pool.outstanding, lines };
}

const report = {};
try {
  report.allocated = await press("Allocate", 2);
  report.freed = await press("Free", 2);
  await press("Allocate", 2);
  report.reshaped = await press("Reshape", 3);
  report.resized = await press("Resize", 2);
  buttonOf("New heap").click();
  report.doubleFree = await press("Double free", 2);
  report.checked = await press("Check", 3);
  report.hoarded = await press("Hoard", 3);
  // The click runs the code as far as its wait.
  const waiting = press("Wait", 3);
  show();
  const queued = picture.map.pools.find(({ name }) => name === "pool").waiting;
  report.waited = { ...(await waiting), queued };
  document.getElementById("code").value = "log(1 + 1)";
  report.own = await press("Run", 2);
  document.getElementById("code").value = "nothing.there";
  report.wrong = await press("Run", 2);
  report.reset = await press("New heap", 1);
  report.threaded = await threaded();
} catch (error) {
  errors.push(String(error));
}
await fetch("/", { method: "POST", body: JSON.stringify({ errors, ...report }) });
