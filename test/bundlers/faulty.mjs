/** An application with a debug heap and a fault. The test looks for the lines that end with names. */
import { createHeap } from "wasm-mempool";
import "wasm-mempool/debug";
import "wasm-mempool/inspect";

const heap = createHeap({ debug: { onDamage: ({ message }) => console.log(message) } });
const bullets = heap.create({ size: 48, minNr: 2, name: "bullets" });

function spawnBullet() {
  return bullets.alloc(); // alloc
}

async function spawnLater() {
  return bullets.allocAsync({ timeout: 60_000 }); // allocAsync
}

function spawnMany(count) {
  const all = new Uint32Array(count);
  if (!bullets.allocBulk(all)) throw new Error("no memory"); // allocBulk
  return [...all];
}

const removeBullet = (at) => {
  bullets.free(at); // free
};

for (const at of [spawnBullet(), ...spawnMany(1), await spawnLater()]) {
  removeBullet(at);
  heap.u8[at] = 1;
  heap.check();
}
