import { defineConfig } from "vite";

/** Pages may share memory with workers only if they are served with these headers; so must the server be that you deploy to. */
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  server: { headers },
  preview: { headers },
  worker: { format: "es" },
});
