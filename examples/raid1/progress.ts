/** A progress bar: one line of a terminal's standard error, and nothing at all anywhere else. */
import { styleText } from "node:util";
import type { WriteStream } from "node:tty";

const WIDTH = 28;
const EVERY_MS = 80;

type Style = Parameters<typeof styleText>[0];
export type Paint = (style: Style, text: string) => string;

/** Colours for a stream that shows them; `hasColors` knows about NO_COLOR. */
export function painter(stream: WriteStream): Paint {
  const shows = stream.isTTY && stream.hasColors();
  // Checked here, for this stream: by itself styleText would ask standard output.
  return (style, text) => (shows ? styleText(style, text, { validateStream: false }) : text);
}

export class Progress {
  readonly #stream: WriteStream;
  readonly #paint: Paint;
  readonly #shown: boolean;
  #phase = "";
  #started = 0;
  #drawn = 0;

  constructor(stream: WriteStream, wanted: boolean) {
    this.#stream = stream;
    this.#paint = painter(stream);
    this.#shown = wanted && stream.isTTY && process.env["TERM"] !== "dumb";
  }

  update(phase: string, doneBytes: number, totalBytes: number, inFlight: number): void {
    if (!this.#shown) return;
    const now = performance.now();
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#started = now;
    } else if (now - this.#drawn < EVERY_MS && doneBytes < totalBytes) return;
    this.#drawn = now;

    const share = doneBytes / totalBytes;
    const full = Math.round(share * WIDTH);
    const bar = this.#paint("cyan", "█".repeat(full)) + this.#paint("dim", "░".repeat(WIDTH - full));
    const rate = now > this.#started ? doneBytes / 1e3 / (now - this.#started) : 0;
    const text = [
      phase.padEnd(10),
      bar,
      `${Math.floor(share * 100)}%`.padStart(4),
      `${(doneBytes / 1e6).toFixed(1)} of ${(totalBytes / 1e6).toFixed(1)} MB`,
      `${rate.toFixed(0)} MB/s`,
      `${inFlight} in flight`,
    ].join("  ");
    // Longer than the line, the text would wrap and stay; the bar's colours are not counted in `columns`.
    const length = text.length - bar.length + WIDTH;
    if (length < this.#stream.columns) this.#stream.write(`\r${text}\x1b[K`);
  }

  /** Takes the bar away. */
  clear(): void {
    if (this.#shown && this.#phase) this.#stream.write("\r\x1b[K");
    this.#phase = "";
  }
}
