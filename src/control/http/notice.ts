// A refusal as the person reads it, on the page where it can be mended.
import { html } from "hono/html";
import type { PlatformError } from "../../kernel/errors.ts";
import type { Html } from "./page.ts";

/** What is wrong: the field with a capital, and no next step where the field says it all. */
export function refusalNotice({ code, message, next }: PlatformError): Html {
  const sentence = message.charAt(0).toUpperCase() + message.slice(1);
  return html`<div class="notice" role="alert"><strong>${sentence}</strong> ${code === "invalid_input" ? "" : next}</div>`;
}
