/** An application: what the bundlers bundle. The test that runs it puts `report` there. */
import { smokeAsync } from "./smoke.mjs";

smokeAsync().then(
  (elements) => globalThis.report({ elements }),
  (error) => globalThis.report({ error: String(error) }),
);
