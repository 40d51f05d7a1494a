// What a Worker is answered in the place of a response that could not be had: the hosted original's numbers, in plain words.
import type { ServerResponse } from "node:http";
import { endOnceRead } from "../edge/linger.ts";
import { DialError, type DialFailure } from "./dial.ts";
import { EgressRefusal } from "./refusal.ts";

/** Status and Cloudflare's error number, where it has one. */
const FAILURES: Record<DialFailure, readonly [status: number, code: number]> = {
  name: [530, 1016],
  "connection-refused": [521, 521],
  timeout: [522, 522],
  tls: [525, 525],
  certificate: [526, 526],
  unreachable: [523, 523],
  "no-answer": [524, 524],
};

/** Answers a Worker in plain text. */
export function say(outgoing: ServerResponse, { status, text, retryAfterSeconds = null }: Explained): void {
  if (outgoing.headersSent) {
    outgoing.destroy();
    return;
  }
  const body = Buffer.from(`${text}\n`);
  const headers = {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": body.length,
    "Cache-Control": "no-store",
    Connection: "close",
  };
  outgoing.writeHead(status, retryAfterSeconds === null ? headers : { ...headers, "Retry-After": String(retryAfterSeconds) });
  outgoing.write(body);
  endOnceRead(outgoing.req, outgoing);
}

/** An answer in the place of the one that could not be had. */
export type Explained = { readonly status: number; readonly text: string; readonly retryAfterSeconds?: number | null };

/** Status and text for a failure to connect. */
export function explain(error: unknown): Explained {
  if (error instanceof EgressRefusal) return error;
  if (!(error instanceof DialError)) return { status: 520, text: "error code: 520\nThe server broke the connection before it answered." };
  const [status, code] = FAILURES[error.failure];
  return { status, text: `error code: ${code}\n${error.message}` };
}
