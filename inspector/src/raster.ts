/**
 * Draws elements into pixels. A picture of thousands of elements is one image, filled by stores: a call of the canvas for each
 * element would take a hundred times as long.
 *
 * Each state has a mark of its own, so that nobody needs the colours: live is solid, cached a frame with a dot, reserved striped,
 * free a frame, quarantined a cross, never allocated a point.
 */
import { STATE, STATE_THREAD } from "../../src/inspect/heap-map.ts";
import { inkOn, mix, pixel, stateOf, threadColor, type Theme } from "./states.ts";

/** Digits, 3 by 5 points, row by row from the highest bit. */
const digits = [0x7b6f, 0x2c97, 0x73e7, 0x73cf, 0x5bc9, 0x79cf, 0x79ef, 0x7249, 0x7bef, 0x7bcf];

/** Pixels from which an element shows its mark, and its thread's number. */
const MARKED = 5;
const NUMBERED = 10;

export class Raster {
  width = 1;
  height = 1;
  pixels = new Uint32Array(1);
  image = new ImageData(1, 1);
  /** By state byte: the element's colour, that of its number, and the one it has where it is too small for a mark. */
  readonly #color = new Uint32Array(256);
  readonly #number = new Uint32Array(256);
  readonly #small = new Uint32Array(256);
  readonly #mark = new Uint8Array(256);
  #paper = 0;

  /** True: the size is another one, and the image is blank. */
  resize(width: number, height: number): boolean {
    if (width === this.width && height === this.height) return false;
    this.width = width;
    this.height = height;
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    return true;
  }

  theme(theme: Theme): void {
    this.#paper = pixel(theme.paper);
    for (let byte = 0; byte < 256; byte++) {
      const thread = byte & STATE_THREAD;
      const own = threadColor(thread === STATE_THREAD ? undefined : thread);
      const state = stateOf(byte);
      const color = {
        never: theme.never,
        free: theme.free,
        cached: own,
        reserved: theme.ink,
        live: own,
        quarantined: "#d55e00",
      }[state];
      this.#color[byte] = pixel(color);
      this.#number[byte] = pixel(state === "cached" ? theme.ink : inkOn(own));
      this.#small[byte] = pixel(state === "cached" ? mix(own, theme.paper, 0.45) : color);
      this.#mark[byte] = ["never", "free", "cached", "reserved", "live", "quarantined"].indexOf(state);
    }
  }

  /** Clears the rows from `from` to before `to`. */
  clear(from = 0, to = this.height): void {
    this.pixels.fill(this.#paper, from * this.width, to * this.width);
  }

  /** Moves all rows up by so many, fewer than there are; down if that is negative. What comes into the image stays as it was. */
  scroll(by: number): void {
    const words = by * this.width;
    this.pixels.copyWithin(Math.max(0, -words), Math.max(0, words), this.pixels.length + Math.min(0, words));
  }

  /** A rectangle, as far as it is in the image. */
  fill(x: number, y: number, width: number, height: number, color: number): void {
    const left = Math.max(0, x);
    const right = Math.min(this.width, x + width);
    const bottom = Math.min(this.height, y + height);
    if (right <= left) return;
    for (let row = Math.max(0, y); row < bottom; row++) {
      this.pixels.fill(color, row * this.width + left, row * this.width + right);
    }
  }

  frame(x: number, y: number, width: number, height: number, thickness: number, color: number): void {
    this.fill(x, y, width, thickness, color);
    this.fill(x, y + height - thickness, width, thickness, color);
    this.fill(x, y, thickness, height, color);
    this.fill(x + width - thickness, y, thickness, height, color);
  }

  /** An element: a square of `size` pixels, of which the last row and column stay empty if there is room. */
  element(x: number, y: number, size: number, byte: number): void {
    if (size < MARKED) {
      const side = size > 2 ? size - 1 : size;
      this.fill(x, y, side, side, this.#small[byte]!);
      return;
    }
    const side = size - 1;
    const color = this.#color[byte]!;
    const thick = size >= 14 ? 2 : 1;
    switch (this.#mark[byte]) {
      case 0: {
        const point = Math.max(1, side >> 2);
        this.fill(x + ((side - point) >> 1), y + ((side - point) >> 1), point, point, color);
        return;
      }
      case 1:
        this.frame(x, y, side, side, thick, color);
        return;
      case 2:
        this.frame(x, y, side, side, thick, color);
        if (size < NUMBERED + 2) {
          const dot = Math.max(1, side - 4 * thick);
          this.fill(x + ((side - dot) >> 1), y + ((side - dot) >> 1), dot, dot, this.#small[byte]!);
        } else this.#numeral(x, y, side, byte);
        return;
      case 3:
        this.#stripes(x, y, side, color);
        return;
      case 4:
        this.fill(x, y, side, side, color);
        if (size >= NUMBERED) this.#numeral(x, y, side, byte);
        return;
      default:
        this.#cross(x, y, side, thick, color);
    }
  }

  #stripes(x: number, y: number, side: number, color: number): void {
    const period = Math.max(3, side >> 1);
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        if ((row + column) % period < period >> 1 || period === 3) {
          if (period === 3 && (row + column) % 3 === 2) continue;
          this.#point(x + column, y + row, color);
        }
      }
    }
    this.frame(x, y, side, side, 1, color);
  }

  #cross(x: number, y: number, side: number, thick: number, color: number): void {
    for (let i = 0; i < side; i++) {
      this.fill(x + i, y + i, thick, 1, color);
      this.fill(x + side - 1 - i, y + i, thick, 1, color);
    }
  }

  /** The number of the element's thread; "-" of one that has left. */
  #numeral(x: number, y: number, side: number, byte: number): void {
    if (!(byte & (STATE.live | STATE.cached))) return;
    const thread = byte & STATE_THREAD;
    const color = this.#number[byte]!;
    const scale = Math.max(1, Math.floor(side / 13));
    const text = thread === STATE_THREAD ? [] : thread < 10 ? [thread] : [Math.floor(thread / 10), thread % 10];
    const width = Math.max(1, text.length * 4 - 1) * scale;
    const left = x + ((side - width) >> 1);
    const top = y + ((side - 5 * scale) >> 1);
    if (text.length === 0) this.fill(left - scale, top + 2 * scale, 3 * scale, scale, color);
    text.forEach((digit, n) => {
      for (let i = 0; i < 15; i++) {
        if (!(digits[digit]! & (0x4000 >> i))) continue;
        this.fill(left + (n * 4 + (i % 3)) * scale, top + Math.floor(i / 3) * scale, scale, scale, color);
      }
    });
  }

  #point(x: number, y: number, color: number): void {
    if (x >= 0 && y >= 0 && x < this.width && y < this.height) this.pixels[y * this.width + x] = color;
  }
}
