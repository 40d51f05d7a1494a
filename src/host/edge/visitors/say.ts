// Sends what a visitor hears instead of the Worker. A body that comes with the request goes nowhere.
import type { IncomingMessage, ServerResponse } from "node:http";
import { endOnceRead, hasBody } from "../linger.ts";
import { sendPage } from "../pages.ts";
import { INTERSTITIAL_HEADERS, renderInterstitial } from "./interstitial.ts";
import type { Said } from "./visitors.ts";

/** Answers and ends the response. */
export function say(incoming: IncomingMessage, outgoing: ServerResponse, said: Said, ray: string): void {
  if (said.kind === "page") return sendPage(incoming, outgoing, said.page, ray);
  if (hasBody(incoming)) outgoing.shouldKeepAlive = false;
  if (said.kind === "continue") {
    const { location, cookie } = said;
    const headers = { Location: location, "Set-Cookie": cookie, "Cache-Control": "no-store", "X-Robots-Tag": "noindex" };
    outgoing.writeHead(303, { ...headers, "Content-Length": 0, "CF-Ray": ray });
  } else {
    const body = Buffer.from(renderInterstitial(said.interstitial));
    outgoing.writeHead(403, { ...INTERSTITIAL_HEADERS, "Content-Length": body.length, "CF-Ray": ray });
    outgoing.write(body);
  }
  if (incoming.headers.expect === undefined) endOnceRead(incoming, outgoing);
  else outgoing.end();
}
