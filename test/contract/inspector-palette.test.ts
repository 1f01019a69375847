/** The colours of the inspector's threads, as people with each kind of colour blindness see them. */
import { expect, test } from "vitest";
import { inkOn, threadColor } from "../../inspector/src/states.ts";

/** Simulations of complete dichromacy in linear RGB: Machado, Oliveira and Fernandes (2009). */
const simulations: Readonly<Record<string, readonly number[]>> = {
  none: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  protanopia: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deuteranopia: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritanopia: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
};

const linear = (color: string): number[] =>
  [1, 3, 5]
    .map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255)
    .map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));

/** CIE L*a*b* of linear sRGB under D65. */
function lab([r, g, b]: number[]): number[] {
  const xyz = [
    (0.4124 * r! + 0.3576 * g! + 0.1805 * b!) / 0.9505,
    0.2126 * r! + 0.7152 * g! + 0.0722 * b!,
    (0.0193 * r! + 0.1192 * g! + 0.9505 * b!) / 1.089,
  ].map((n) => (n > 0.008856 ? Math.cbrt(n) : 7.787 * Math.max(0, n) + 16 / 116));
  const [x, y, z] = xyz as [number, number, number];
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

const apply = (m: readonly number[], c: number[]): number[] =>
  [0, 3, 6].map((row) => m[row]! * c[0]! + m[row + 1]! * c[1]! + m[row + 2]! * c[2]!);

const luminance = (color: string): number => {
  const [r, g, b] = linear(color) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

const threads = Array.from({ length: 7 }, (_, thread) => threadColor(thread));

test.each(Object.entries(simulations))("the colours of threads differ with %s", (_name, matrix) => {
  const seen = threads.map((color) => lab(apply(matrix, linear(color))));
  for (let i = 0; i < seen.length; i++) {
    for (let j = i + 1; j < seen.length; j++) {
      // A difference of 2 is just seen; 10 at a glance.
      const distance = Math.hypot(...seen[i]!.map((n, k) => n - seen[j]![k]!));
      expect(distance, `${threads[i]} ${threads[j]}`).toBeGreaterThan(10);
    }
  }
});

test("a thread's number is read on its colour", () => {
  for (const color of threads) {
    const [light, dark] = [luminance(color), luminance(inkOn(color))].toSorted((a, b) => b - a) as [number, number];
    expect((light + 0.05) / (dark + 0.05), color).toBeGreaterThan(3);
  }
});
