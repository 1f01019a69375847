/** Makes the modules fresh for tests that do not care how well they are optimised. */
import { build } from "../../scripts/build.mjs";
import { bundle } from "./bundle.mjs";

export async function setup() {
  await build({ fast: true, say: console.log });
  await bundle();
}
