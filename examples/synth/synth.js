// In the audio thread, which has 3 ms for 128 samples: it makes no garbage, waits for no thread, and frees the voices.
import { attach } from "wasm-mempool";
import { Voice } from "./voice.js";

class Synth extends AudioWorkletProcessor {
  constructor({ processorOptions: { notes, voices } }) {
    super();
    [this.notes, this.voices] = [attach(notes), attach(voices, { size: Voice })];
    [this.voice, this.playing, this.count] = [Voice.cursor(this.voices.heap), new Uint32Array(32), 0];
  }

  process(_inputs, [[out]]) {
    for (let at = 0; (at = this.notes.pop()) !== 0;) this.playing[this.count++] = at;
    for (let i = this.count - 1; i >= 0; i--) {
      if (this.play(this.voice.move(this.playing[i]), out)) continue;
      this.voices.free(this.playing[i]);
      this.playing[i] = this.playing[--this.count];
    }
    return true;
  }

  play(voice, out) {
    let { phase, level } = voice;
    for (let i = 0; i < out.length; i++, level *= 0.9999) {
      out[i] += level * Math.sin(2 * Math.PI * phase);
      phase = (phase + voice.step) % 1;
    }
    voice.phase = phase;
    return (voice.level = level) > 0.001;
  }
}
registerProcessor("synth", Synth);
