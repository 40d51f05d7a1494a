import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // `npm run dev` beside `wrangler dev`: the page reloads as you type, the API is the Worker's.
  server: { proxy: { "/api": "http://localhost:8790" } },
});
