/** A worker that runs the smoke test and says what came of it. */
import { smokeAsync } from "../smoke.mjs";

try {
  postMessage({ elements: await smokeAsync() });
} catch (error) {
  postMessage({ error: String(error) });
}
