// The v4 envelope, rendered here and nowhere else. Clients read `success`, never the HTTP status, so both are set.
// Source: the Cloudflare v4 API's response schema.
import type { PlatformError } from "../../kernel/errors.ts";

export type ResultInfo = Record<string, number | string | { readonly after: string }>;

const json = (body: unknown, status: number, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", "cache-control": "no-store", ...headers } });

type SuccessOptions = {
  readonly status?: number;
  /** Pagination, where the client reads it. */
  readonly info?: ResultInfo;
  /** What the caller should know beside the result. */
  readonly messages?: readonly string[];
};

/** A success. */
export function success(result: unknown, options: SuccessOptions = {}): Response {
  const messages = (options.messages ?? []).map((message) => ({ code: 10000, message }));
  return json({ success: true, errors: [], messages, result, ...(options.info && { result_info: options.info }) }, options.status ?? 200);
}

/**
 * A refusal or failure: what is wrong, then the next step, as both reach the agent through the client's output.
 * @param origin of this installation, whose /errors explains every code
 */
export function failure(error: PlatformError, origin: string): Response {
  const headers: Record<string, string> = {};
  if (error.retryAfterSeconds !== undefined) headers["retry-after"] = String(Math.max(1, Math.ceil(error.retryAfterSeconds)));
  // RFC 9110 §15.5.22.
  if (error.status === 426) headers["upgrade"] = "websocket";
  if (error.status === 401) headers["www-authenticate"] = 'Bearer realm="mayfly"';
  // A message of several lines ends its last one.
  const gap = error.message.endsWith("\n") ? "" : " ";
  const body = {
    success: false,
    errors: [{ code: error.number, message: `${error.message}${gap}${error.next}`, documentation_url: `${origin}/errors#${error.code}` }],
    messages: [],
    result: null,
  };
  return json(body, error.status, headers);
}

/** What a client that prints only the status line shows: one line of printable ASCII. RFC 9112 §4. */
export function reasonPhrase(error: PlatformError): string {
  const wait = error.retryAfterSeconds === undefined ? "" : ` Retry after ${waitText(error.retryAfterSeconds)}.`;
  return `${error.message}${wait}`.replaceAll(/[^\x20-\x7e]+/g, " ").slice(0, 400);
}

function waitText(seconds: number): string {
  if (seconds < 120) return `${Math.max(1, Math.ceil(seconds))} seconds`;
  return `${Math.ceil(seconds / 60)} minutes`;
}
