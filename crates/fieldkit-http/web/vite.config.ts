// Builds the till page into dist/, which the daemon embeds.
// Promises: every asset is a file of its own (the content policy allows nothing inline).
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const daemon = "http://localhost:8080";

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { "/api": daemon, "/images": daemon },
  },
});
