/** A worker that runs the smoke test and posts the result. */
import { smokeAsync } from "../smoke.mjs";

try {
  postMessage({ elements: await smokeAsync() });
} catch (error) {
  postMessage({ error: String(error) });
}
