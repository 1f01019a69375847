// A key allocates a voice, and passes it to the audio thread by a queue in shared memory: no message, and no garbage there.
import { createSharedHeap } from "wasm-mempool";
import synth from "./synth.js?worker&url"; // how Vite bundles a worklet
import { Voice } from "./voice.js";

const [keys, scope, words] = ["keys", "scope", "words"].map((id) => document.getElementById(id));
const heap = createSharedHeap({ initial: 2 ** 20, maximum: 2 ** 20 }); // never grows
const voices = heap.create({ size: Voice, minNr: 32, maxNr: 32, name: "voices" });
const notes = heap.createQueue({ capacity: 32 });
const voice = Voice.cursor(heap);
const wave = new Float32Array(1024);
let begun, analyser;

async function begin() {
  const context = new AudioContext({ sampleRate: 48000 });
  await context.audioWorklet.addModule(synth);
  const processorOptions = { voices: voices.share(), notes: notes.share() };
  const node = new AudioWorkletNode(context, "synth", { outputChannelCount: [1], processorOptions });
  analyser = node.connect(new AnalyserNode(context, { fftSize: wave.length }));
  analyser.connect(context.destination);
  await context.resume();
}

function play(halftones) {
  const at = voices.alloc();
  if (at === 0) return; // 32 sound already
  Object.assign(voice.move(at), { step: (220 * 2 ** (halftones / 12)) / 48000, phase: 0, level: 0.1 });
  notes.push(at);
  begun ??= begin();
}

[0, 2, 4, 5, 7, 9, 11, 12].forEach((halftones, i) => {
  const key = keys.appendChild(Object.assign(document.createElement("button"), { textContent: "ASDFGHJK"[i] }));
  key.addEventListener("click", () => play(halftones));
  addEventListener("keydown", (event) => event.key.toUpperCase() === key.textContent && play(halftones));
});

(function draw() {
  const pen = scope.getContext("2d");
  analyser?.getFloatTimeDomainData(wave);
  pen.reset();
  wave.forEach((y, x) => pen.lineTo((x * scope.width) / wave.length, scope.height * (0.5 - y)));
  pen.stroke();
  words.value = `${voices.outstanding} of ${voices.maxNr} voices sound. Press A S D F G H J K`;
  requestAnimationFrame(draw);
})();
