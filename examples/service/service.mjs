// Takes uploads, each in a buffer of a pool, and answers with their SHA-256. Under load: backpressure, then 503; no growth.
//   PORT=8080 node service.mjs        curl --data-binary @file localhost:8080; curl localhost:8080/metrics
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { createHeap } from "wasm-mempool";
import { metrics } from "wasm-mempool/inspect";

const BYTES = 2 ** 18;
const heap = createHeap({ maximum: 2 ** 24 });
const buffers = heap.create({
  name: "buffers",
  size: BYTES,
  minNr: 16, // set aside from the start
  maxNr: 16, // so many uploads at once,
  maxWaiters: 64, // and so many that wait for theirs: their senders are not read from meanwhile
});
const statusOf = { ERR_TIMEOUT: 503, ERR_TOO_MANY_WAITERS: 503, ERR_CLOSED: 503, ERR_TOO_LARGE: 413 };

async function digest(request, at) {
  let length = 0;
  for await (const chunk of request) {
    if (length + chunk.length <= BYTES) heap.u8.set(chunk, at + length);
    length += chunk.length;
  }
  if (length > BYTES) throw Object.assign(new Error(`${length} bytes, of ${BYTES} at most`), { code: "ERR_TOO_LARGE" });
  return createHash("sha256")
    .update(heap.u8.subarray(at, at + length))
    .digest("hex");
}

const server = createServer(async (request, response) => {
  if (request.url === "/metrics") {
    response.setHeader("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8");
    return response.end(metrics(heap));
  }
  const controller = new AbortController();
  request.once("close", () => request.complete || controller.abort()); // the sender is gone: no longer in line
  try {
    const options = { timeout: 5000, signal: controller.signal };
    response.end(`${await buffers.useAsync((at) => digest(request, at), options)}\n`);
  } catch (error) {
    if (request.destroyed && !request.complete) return;
    response
      .writeHead(statusOf[error.code] ?? 500, { Connection: "close", "Retry-After": "1" })
      .end(`${error.message}\n`);
  }
});

process.once("SIGTERM", async () => {
  server.close(); //       no new connections
  buffers.exit(); //       those in line get 503; those that have a buffer finish
  await buffers.closed; // all buffers are back
  server.closeIdleConnections();
  console.log(`closed; ${buffers.outstanding} buffers outstanding`);
});

server.listen(process.env.PORT ?? 8080, () => console.log(`listening on ${server.address().port}`));
