/** A user of the examples: see examples.test.ts. A classic script, which runs before the example's own. */
const errors = [];
addEventListener("error", (event) => errors.push(event.message || String(event.error)));
addEventListener("unhandledrejection", ({ reason }) => errors.push(String(reason)));

const frames = (n) =>
  new Promise((resolve) => {
    const next = () => (n-- === 0 ? resolve() : requestAnimationFrame(next));
    next();
  });
const of = (id) => document.getElementById(id);
const pixelsOf = (canvas) =>
  new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);

async function until(holds) {
  for (const end = Date.now() + 120_000; !holds();) {
    if (errors.length > 0) throw new Error(errors[0]);
    if (Date.now() > end) throw new Error(`the page stays at: ${document.body.innerText}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const users = {
  async fireworks() {
    const kinds = {};
    for (const kind of ["pool", "objects"]) {
      if (kind === "objects") of("plain").click();
      await frames(60);
      const before = pixelsOf(of("sky"));
      await frames(10);
      const after = pixelsOf(of("sky"));
      kinds[kind] = {
        words: of("times").value,
        lit: after.filter((pixel) => pixel !== 0xff000000).length,
        moved: after.filter((pixel, i) => pixel !== before[i]).length,
      };
    }
    return { kinds };
  },

  async tiles() {
    const drawn = () => Number(of("words").value.split(" ")[0]);
    // On a page that stalls, a worker may be without a tile when it is killed: then some more are. Tiles drawn in between show
    // that another works: one that is killed before it has attached is not replaced.
    for (const at of [10, 40, 70, 100, 110, 120, 130, 140]) {
      await until(() => drawn() >= at);
      if (at <= 100 || / 0 tiles begun/.test(of("words").value)) of("kill").click();
    }
    await until(() => drawn() === 160);
    // The same, computed here, at some points.
    let [wrong, inside] = [0, 0];
    const pixels = pixelsOf(of("picture"));
    for (let i = 0; i < pixels.length; i += 127) {
      const [re, im] = [(i % 1024) / 320 - 2.3, Math.floor(i / 1024) / 320 - 1];
      let [x, y, n] = [0, 0, 0];
      for (; x * x + y * y < 4 && n < 4000; n++) [x, y] = [x * x - y * y + re, 2 * x * y + im];
      const color = n < 4000 ? [7 * n, 3 * n, 255 - n] : [0, 0, 0];
      if (n === 4000) inside++;
      if (color.some((byte, k) => (byte & 255) !== ((pixels[i] >>> (8 * k)) & 255))) wrong++;
    }
    return { words: of("words").value, wrong, inside };
  },

  /** An offline context needs neither a sound device nor a user's gesture. It begins once the voices have been seen. */
  async synth() {
    let context, play;
    const seen = new Promise((resolve) => (play = resolve));
    globalThis.AudioContext = class extends OfflineAudioContext {
      constructor({ sampleRate }) {
        super(1, 2 * sampleRate, sampleRate);
        context = this;
      }
      async resume() {
        await seen;
        this.sound = await this.startRendering();
      }
    };
    await until(() => of("keys")?.children.length === 8);
    for (const key of [0, 2, 4]) of("keys").children[key].click();
    await until(() => of("words").value.startsWith("3 "));
    const before = of("words").value;
    play();
    await until(() => context?.sound);
    const samples = context.sound.getChannelData(0);
    const strength = (hertz) => {
      let [re, im] = [0, 0];
      for (let i = 0; i < 24000; i++) {
        re += samples[i] * Math.cos((2 * Math.PI * hertz * i) / 48000);
        im += samples[i] * Math.sin((2 * Math.PI * hertz * i) / 48000);
      }
      return Math.hypot(re, im);
    };
    const halftones = Array.from({ length: 25 }, (_, i) => 220 * 2 ** ((i - 6) / 12));
    const peaks = halftones.toSorted((a, b) => strength(b) - strength(a)).slice(0, 3);
    await frames(3);
    return {
      before,
      after: of("words").value,
      peaks: peaks.toSorted((a, b) => a - b),
      silent: Math.max(...samples.slice(-1000).map(Math.abs)),
    };
  },

  async "vite-template"() {
    await until(() => /^\d{3,} moves/.test(of("words").value));
    return { words: of("words").value };
  },
};

// oxlint-disable-next-line no-unused-vars
async function probe(name) {
  let seen = {};
  try {
    await new Promise((resolve) => addEventListener("DOMContentLoaded", resolve));
    seen = await users[name]();
  } catch (error) {
    errors.push(String(error));
  }
  await fetch("/", { method: "POST", body: JSON.stringify({ errors, ...seen }) });
}
