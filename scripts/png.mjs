// Makes a PNG small: at most 256 colours, by a palette. Screenshots have few but for the edges of letters.
import { crc32, deflateSync, inflateSync } from "node:zlib";

/** The pixels of an 8-bit RGB or RGBA PNG without interlacing, as three bytes each. */
function decode(png) {
  const width = png.readUInt32BE(16);
  const height = png.readUInt32BE(20);
  const bytes = png[25] === 6 ? 4 : 3;
  const parts = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString("latin1", at + 4, at + 8) === "IDAT")
      parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const raw = inflateSync(Buffer.concat(parts));
  const line = width * bytes;
  const pixels = Buffer.alloc(height * line);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (line + 1)];
    for (let x = 0; x < line; x++) {
      const left = x < bytes ? 0 : pixels[y * line + x - bytes];
      const up = y === 0 ? 0 : pixels[(y - 1) * line + x];
      const corner = x < bytes || y === 0 ? 0 : pixels[(y - 1) * line + x - bytes];
      const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
      const paeth = a <= b && a <= c ? left : b <= c ? up : corner;
      pixels[y * line + x] = raw[y * (line + 1) + 1 + x] + [0, left, up, (left + up) >> 1, paeth][filter];
    }
  }
  return { width, height, colorAt: (i) => pixels.readUIntBE(i * bytes, 3) };
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([size, body, sum]);
}

const distance = (a, b) =>
  Math.abs((a >> 16) - (b >> 16)) + Math.abs(((a >> 8) & 255) - ((b >> 8) & 255)) + Math.abs((a & 255) - (b & 255));

/** Two colours that are nearer than this look the same. */
const NEAR = 24;

/** The same picture with fewer colours: of those that look the same, the most frequent one. Each pixel gets the nearest. */
export function shrink(png) {
  const { width, height, colorAt } = decode(png);
  const counts = new Map();
  for (let i = 0; i < width * height; i++) counts.set(colorAt(i), (counts.get(colorAt(i)) ?? 0) + 1);
  const colors = [...counts].toSorted(([, a], [, b]) => b - a).map(([color]) => color);
  const palette = [];
  const indexOf = new Map();
  for (const color of colors) {
    let nearest = 0;
    palette.forEach((each, i) => {
      if (distance(each, color) < distance(palette[nearest], color)) nearest = i;
    });
    const isNew = palette.length === 0 || (palette.length < 256 && distance(palette[nearest], color) > NEAR);
    indexOf.set(color, isNew ? palette.push(color) - 1 : nearest);
  }
  const lines = Buffer.alloc(height * (width + 1));
  for (let i = 0; i < width * height; i++)
    lines[Math.floor(i / width) * (width + 1) + 1 + (i % width)] = indexOf.get(colorAt(i));
  const table = Buffer.alloc(3 * palette.length);
  palette.forEach((color, i) => table.writeUIntBE(color, 3 * i, 3));
  const head = Buffer.from(png.subarray(16, 29));
  head[8] = 8;
  head[9] = 3;
  return Buffer.concat([
    png.subarray(0, 8),
    chunk("IHDR", head),
    chunk("PLTE", table),
    chunk("IDAT", deflateSync(lines, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}
