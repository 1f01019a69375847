/** An audio worklet's synthesizer: notes begin and end, and each has a buffer for a block of samples. */
import { f32, struct, u32 } from "../../../dist/index.js";

const Voice = struct({ phase: f32, step: f32, gain: f32, blocks: u32 });
const BLOCKS = 200;
const FRAMES = 128;

export const synth = {
  title: "Synthesizer",
  workload: "a block of 128 samples: one note begins, 16 sound, each in a buffer of its own, one ends",
  ops: BLOCKS,
  start(heap) {
    const voices = heap.create({ size: Voice, minNr: 32, name: "voices" });
    const buffers = heap.create({ size: FRAMES * 4, minNr: 32, align: 16, name: "buffers" });
    const voice = Voice.cursor(heap);
    const out = new Float32Array(FRAMES);
    const block = (n) => {
      const note = voices.alloc();
      if (note === 0) throw new Error("no voice left");
      Object.assign(voice.move(note), { phase: 0, step: 0.01 + (n % 12) / 200, gain: 0.1, blocks: 16 });
      out.fill(0);
      for (const at of voices.live()) {
        const buffer = buffers.alloc();
        if (buffer === 0) throw new Error("no buffer left");
        voice.move(at);
        const samples = heap.f32;
        const from = buffer >> 2;
        let { phase } = voice;
        const { step, gain } = voice;
        for (let i = 0; i < FRAMES; i++, phase += step) samples[from + i] = gain * (phase - Math.floor(phase));
        voice.phase = phase;
        for (let i = 0; i < FRAMES; i++) out[i] += samples[from + i];
        buffers.free(buffer);
        if (--voice.blocks === 0) voices.free(at);
      }
    };
    return {
      run() {
        for (let i = 0; i < BLOCKS; i++) block(i);
      },
    };
  },
};
