import { defineConfig } from "vite";

export default defineConfig({
  // `npm run dev` beside `wrangler dev`: the page reloads as you type, the API is the Worker's.
  server: { proxy: { "/api": { target: "http://localhost:8791", ws: true } } },
});
