import { attach } from "wasm-mempool";
import { SIDE, Tile } from "./tile.js";

onmessage = async ({ data }) => {
  await navigator.locks.query(); // so that attach gets this thread's lock at once, by which the window sees its end
  const [tiles, jobs, done] = [attach(data.tiles, { size: Tile }), attach(data.jobs), attach(data.done)];
  const tile = Tile.cursor(tiles.heap);
  for (;;) {
    const at = await jobs.popAsync();
    tiles.adopt(at); // ours, until another thread adopts it: if this worker dies, the window gets it back
    render(tile.move(at));
    done.push(at);
  }
};

function render({ column, row, rgba }) {
  for (let i = 0; i < SIDE * SIDE; i++) {
    const [re, im] = [(column * SIDE + (i % SIDE)) / 320 - 2.3, (row * SIDE + Math.floor(i / SIDE)) / 320 - 1];
    let [x, y, n] = [0, 0, 0];
    for (; x * x + y * y < 4 && n < 4000; n++) [x, y] = [x * x - y * y + re, 2 * x * y + im];
    const color = n < 4000 ? [7 * n, 3 * n, 255 - n, 255] : [0, 0, 0, 255];
    color.forEach((byte, k) => rgba.set(4 * i + k, byte & 255));
  }
}
