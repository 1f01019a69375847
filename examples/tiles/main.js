// Workers draw the tiles of a picture; tiles come and go through queues in shared memory. Any worker may die at any time.
import { createSharedHeap } from "wasm-mempool";
import { SIDE, Tile } from "./tile.js";

const [canvas, kill, words] = ["picture", "kill", "words"].map((id) => document.getElementById(id));
const context = canvas.getContext("2d");
const [columns, rows] = [canvas.width / SIDE, canvas.height / SIDE];
const heap = createSharedHeap({ maximum: 2 ** 24 });
const tiles = heap.create({ size: Tile, minNr: 8, maxNr: 8, name: "tiles" }); // so many are on their way at most
const [jobs, done] = [heap.createQueue({ capacity: 8 }), heap.createQueue({ capacity: 8 })];
const tile = Tile.cursor(heap);
let [drawn, killed, again] = [0, 0, 0];
const say = () => (words.value = `${drawn} of ${columns * rows} tiles, ${killed} killed, ${again} tiles begun again`);

function onReap(lost) {
  killed++;
  for (const { address } of lost) {
    if (done.has(address)) continue; // that one is finished
    tiles.adopt(address);
    jobs.push(address);
    again++;
  }
  workers.push(start());
}

function start() {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.postMessage({ tiles: tiles.share(worker), jobs: jobs.share(), done: done.share() });
  heap.watch(worker, { onReap });
  return worker;
}

const workers = [start(), start()];
kill.addEventListener("click", () => workers.shift()?.terminate());

(async function feed() {
  for (let i = 0; i < columns * rows; i++) {
    const at = await tiles.allocAsync(); // waits while eight are on their way
    tile.move(at).column = i % columns;
    tile.row = Math.floor(i / columns);
    jobs.push(at);
  }
})();

for (; drawn < columns * rows; drawn++, say()) {
  const at = await done.popAsync();
  tiles.adopt(at);
  const { column, row, rgba } = tile.move(at);
  const image = new Uint8ClampedArray(heap.u8.slice(rgba.address, rgba.address + rgba.length).buffer);
  context.putImageData(new ImageData(image, SIDE), column * SIDE, row * SIDE);
  tiles.free(at);
}
