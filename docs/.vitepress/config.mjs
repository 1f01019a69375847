/** The site: the documents of the repository as they lie, the API by TypeDoc, and what scripts/docs.mjs generates. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitepress";
import { siteLinks } from "./links.mjs";
import { darkPictures } from "./pictures.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const sidebarOfApi = `${root}docs/api/typedoc-sidebar.json`;
const isMain = ({ text }) => text === "wasm-mempool";
const api = (existsSync(sidebarOfApi) ? JSON.parse(readFileSync(sidebarOfApi, "utf8")) : []).toSorted(
  (a, b) => isMain(b) - isMain(a),
);

const item = (text, link) => ({ text, link });
const sidebar = [
  {
    text: "Begin",
    items: [
      item("Five minutes", "/docs/start"),
      item("Playground", "/docs/playground"),
      item("Examples", "/docs/examples"),
      item("When not to use it", "/docs/when-not"),
    ],
  },
  {
    text: "For whom",
    items: [
      item("Game loop", "/docs/guides/game-loop"),
      item("Workers", "/docs/guides/workers"),
      item("Audio", "/docs/guides/audio"),
      item("Node service", "/docs/guides/node-service"),
      item("Wasm guests", "/docs/guides/without-javascript"),
      item("Wasm hosts", "/docs/hosts"),
      item("Kernel people", "/docs/for-kernel-people"),
    ],
  },
  {
    text: "By subject",
    items: [
      item("Pools", "/docs/guides/pools"),
      item("Structs", "/docs/guides/structs"),
      item("Waiting", "/docs/guides/waiting"),
      item("Memory and modules", "/docs/guides/memory"),
      item("Callbacks", "/docs/guides/callbacks"),
      item("Queues and neighbours", "/docs/guides/neighbours"),
      item("One struct, all languages", "/docs/guides/languages"),
    ],
  },
  {
    text: "Recipes by tool",
    collapsed: true,
    items: [
      item("All", "/docs/recipes/"),
      item("Vite", "/docs/recipes/vite"),
      item("webpack", "/docs/recipes/webpack"),
      item("Next", "/docs/recipes/next"),
      item("Vue", "/docs/recipes/vue"),
      item("Node", "/docs/recipes/node"),
      item("Bun", "/docs/recipes/bun"),
      item("Deno", "/docs/recipes/deno"),
      item("AudioWorklet", "/docs/recipes/audioworklet"),
      item("COOP and COEP", "/docs/recipes/isolation"),
      item("Tests", "/docs/recipes/testing"),
    ],
  },
  {
    text: "When something is wrong",
    items: [
      item("By symptom", "/docs/memory-trouble"),
      item("Debug heaps", "/docs/debug"),
      item("The inspector", "/docs/inspector"),
    ],
  },
  {
    text: "Guests",
    collapsed: true,
    items: [
      item("C and C++", "/docs/guests"),
      item("Rust", "/guests/rust/README"),
      item("Zig", "/guests/zig/README"),
      item("AssemblyScript", "/guests/assemblyscript/README"),
    ],
  },
  {
    text: "Reference",
    items: [
      item("Every call", "/docs/calls"),
      item("API", "/docs/api/"),
      item("ABI: core", "/docs/generated/abi/wasm_mempool"),
      item("ABI: malloc", "/docs/generated/abi/wasm_mempool_malloc"),
      item("ABI: debug", "/docs/generated/abi/wasm_mempool_debug"),
    ],
  },
  {
    text: "Figures and proofs",
    items: [
      item("How fast, how large", "/docs/speed"),
      item("Benchmarks", "/docs/benchmarks"),
      item("The longest call", "/docs/worst-case"),
      item("Scale", "/docs/scale"),
      item("All tables", "/docs/generated/benchmarks/tables"),
      item("How it is proved", "/docs/how-it-is-proved"),
      item("Architecture", "/ARCHITECTURE"),
    ],
  },
  {
    text: "Project",
    collapsed: true,
    items: [
      item("README", "/README"),
      item("Changes", "/CHANGELOG"),
      item("Security", "/SECURITY"),
      item("Contributing", "/CONTRIBUTING"),
    ],
  },
];

const base = process.env.DOCS_BASE ?? "/";

export default defineConfig({
  title: "wasm-mempool",
  description: "A memory pool allocator for WebAssembly linear memory",
  lang: "en",
  base,
  srcDir: "..",
  srcExclude: [
    "build/**",
    "dist/**",
    "bench/**",
    "test/**",
    "examples/**",
    "playground/**",
    "assembly/**",
    "coverage/**",
    "**/node_modules/**",
    ".github/**",
  ],
  rewrites: { "docs/index.md": "index.md" },
  outDir: "./.vitepress/dist",
  cacheDir: "./.vitepress/cache",
  lastUpdated: false,
  // Wide tables and headers take the place of the outline.
  transformPageData: ({ relativePath, frontmatter }) => {
    if (/^docs\/(calls|for-kernel-people|benchmarks|scale|worst-case|generated\/.*)\.md$/.test(relativePath))
      frontmatter.aside = false;
  },
  markdown: { config: (md) => void md.use(siteLinks, base).use(darkPictures, root) },
  vite: { build: { chunkSizeWarningLimit: 2000 }, publicDir: `${root}docs/public`, server: { fs: { allow: [root] } } },
  themeConfig: {
    outline: [2, 3],
    search: { provider: "local" },
    nav: [
      item("Five minutes", "/docs/start"),
      item("Recipes", "/docs/recipes/"),
      item("Playground", "/docs/playground"),
      item("API", "/docs/api/"),
      item("Figures", "/docs/benchmarks"),
    ],
    sidebar: {
      "/docs/api/": [
        { text: "API", items: api },
        { text: "Guides", items: [item("Five minutes", "/docs/start"), item("Every call", "/docs/calls")] },
      ],
      "/": sidebar,
    },
  },
});
