/** Builds the modules and dist/ as users get them. */
import { build } from "../../scripts/build.mjs";
import { bundle } from "./bundle.mjs";

export async function setup() {
  await build({ say: console.log });
  await bundle();
}
