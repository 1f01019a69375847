// Makes the Rust crate in build/crate, ready for `cargo publish`: guests/rust with the archives and the licence.
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "./build.mjs";

const read = (file) => readFileSync(file, "utf8");

/** The folder of the crate. */
export async function crate() {
  await build({ only: ["linked", "linked.shared"] });
  const { version } = JSON.parse(read("package.json"));
  if (!read("guests/rust/Cargo.toml").includes(`\nversion = "${version}"\n`)) {
    throw new Error(`guests/rust/Cargo.toml: the version of package.json is ${version}`);
  }
  const folder = "build/crate";
  for (const part of ["src", "lib"]) rmSync(`${folder}/${part}`, { recursive: true, force: true });
  mkdirSync(`${folder}/lib`, { recursive: true });
  for (const part of ["src", "build.rs", "Cargo.toml", "README.md"]) {
    cpSync(`guests/rust/${part}`, `${folder}/${part}`, { recursive: true });
  }
  cpSync("LICENSE", `${folder}/LICENSE`);
  for (const name of ["libwasm_mempool_malloc.a", "libwasm_mempool_malloc_shared.a"]) {
    cpSync(`build/${name}`, `${folder}/lib/${name}`);
  }
  return fileURLToPath(new URL(`../${folder}`, import.meta.url));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await crate());
