/** A service: requests wait for a buffer, and write their answer in chunks. */
const REQUESTS = 500;
const AT_ONCE = 50;
const text = `{"user":"someone","items":[${"1234567890,".repeat(60)}0]}`;

export const service = {
  title: "Service",
  workload: "a request: a buffer of 1 KiB by allocAsync, of 40 for 50 requests at once; four chunks in bulk; all freed",
  ops: REQUESTS,
  start(heap) {
    const buffers = heap.create({ size: 1024, minNr: 8, maxNr: 40, name: "buffers" });
    const chunks = heap.create({ size: 256, minNr: 16, name: "chunks" });
    const encoder = new TextEncoder();
    const request = async () => {
      const buffer = await buffers.allocAsync({ timeout: 10_000 });
      const all = new Uint32Array(4);
      if (!chunks.allocBulk(all)) throw new Error("no chunk left");
      try {
        const { written } = encoder.encodeInto(text, heap.u8.subarray(buffer, buffer + 1024));
        await undefined;
        const bytes = heap.u8;
        all.forEach((chunk, i) => bytes.copyWithin(chunk, buffer + i * 256, buffer + Math.min(written, i * 256 + 256)));
      } finally {
        chunks.freeBulk(all);
        buffers.free(buffer);
      }
    };
    return {
      async run() {
        for (let i = 0; i < REQUESTS; i += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, request));
      },
    };
  },
};
