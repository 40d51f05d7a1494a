// Times as the pages write them: moments in UTC, spans in the two words that matter.
import { html } from "hono/html";
import { iso } from "../../kernel/clock.ts";
import type { Html } from "./page.ts";

export const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;

export function inWords(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return plural(seconds, "second");
  if (seconds < 7200) return plural(Math.floor(seconds / 60), "minute");
  return seconds < 172_800 ? plural(Math.floor(seconds / 3600), "hour") : plural(Math.floor(seconds / 86_400), "day");
}

export const moment = (atMs: number): Html => html`<time datetime="${iso(atMs)}">${iso(atMs).slice(0, 16).replace("T", " ")} UTC</time>`;
