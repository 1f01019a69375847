/** The examples as a reader runs them: copied beside the packed package, in a folder with nothing else. */
import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "vite";
import { packAndInstall, root, type Installed } from "./packaging/install.ts";

export const examples: readonly string[] = ["fireworks", "tiles", "synth"];

/** Installs the packed package into an empty folder, and copies examples there. */
export async function installExamples(names: readonly string[]): Promise<Installed> {
  const installed = await packAndInstall();
  for (const name of names) await cp(join(root, "examples", name), join(installed.dir, name), { recursive: true });
  // The template's configuration imports it.
  await symlink(join(root, "node_modules/vite"), join(installed.dir, "node_modules/vite"));
  return installed;
}

/** Bundles an example with Vite; the files by the path under which a browser asks for them. */
export async function bundleExample(installed: Installed, name: string, probe = ""): Promise<Map<string, Uint8Array>> {
  const folder = join(installed.dir, name);
  const out = join(installed.dir, "out", name);
  await mkdir(out, { recursive: true });
  const config = await readdir(folder);
  await build({
    root: folder,
    base: `/${name}/`,
    logLevel: "warn",
    configFile: config.includes("vite.config.ts") ? join(folder, "vite.config.ts") : false,
    build: { outDir: out, emptyOutDir: true },
    worker: { format: "es" },
  });
  const html = await readFile(join(out, "index.html"), "utf8");
  await writeFile(join(out, "index.html"), html.replace("<script", `${probe}<script`));
  const files = new Map<string, Uint8Array>();
  for (const file of await readdir(out, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath, file.name);
    files.set(`/${name}${path.slice(out.length)}`, await readFile(path));
  }
  return files;
}
