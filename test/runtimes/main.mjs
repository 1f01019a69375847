/** Run by each runtime; run.mjs reads the line it prints. */
import { smokeAsync } from "../smoke.mjs";

console.log(JSON.stringify(await smokeAsync()));
