// Request bodies: bounded while they are read, parsed as JSON whatever their Content-Type says (wrangler often
// sends text/plain), checked by a zod schema whose complaint names the field.
import { Readable } from "node:stream";
import type { z } from "zod";
import { PlatformError } from "../../kernel/errors.ts";
import type { Room } from "./memory.ts";

export const JSON_MAX_BYTES = 1_048_576;
const JSON_MAX_DEPTH = 100;

/**
 * The whole body.
 * @param room what the body takes of the memory that large ones share
 * @throws PlatformError body_too_large before more than `maxBytes` are held, capsule_failed when there is no room
 */
export async function readBytes(request: Request, maxBytes: number, room?: Room): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > maxBytes) throw tooLarge(maxBytes);
  try {
    for await (const chunk of request.body ?? []) {
      size += chunk.byteLength;
      if (size > maxBytes) throw tooLarge(maxBytes);
      room?.take(chunk.byteLength);
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof PlatformError) throw cause;
    throw new PlatformError("invalid_input", { message: "The body broke off before its end.", cause });
  }
  return Buffer.concat(chunks);
}

/** The body as it comes. That a caller leaves in the middle is an error to whoever reads it, and to nobody where nobody does. */
export function bodyStream({ body }: Request): Readable {
  const stream = body === null ? Readable.from([]) : Readable.fromWeb(body);
  return stream.on("error", () => undefined);
}

const tooLarge = (maxBytes: number): PlatformError =>
  new PlatformError("body_too_large", { message: `The body is larger than ${maxBytes} bytes.` });

/** For every check of what a caller sent: a field that is not there is missing, in whatever type it was expected. */
export const WORDING = {
  error: (issue: { readonly code?: string; readonly input?: unknown }): string | undefined =>
    issue.input === undefined && (issue.code === "invalid_type" || issue.code === "invalid_union") ? "missing" : undefined,
};

/** Checks a value. @param what names the value in the complaint, such as "body" or "query" */
export function check<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const parsed = schema.safeParse(value, WORDING);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.length ? issue.path.map(String).join(".") : what;
  throw new PlatformError("invalid_input", { message: `${field}: ${issue?.message ?? "not valid"}.` });
}

/** Whether brackets outside of strings ever stand deeper than the bound. */
function isDeep(text: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (quoted) {
      if (character === "\\") at++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") depth--;
    if (depth > JSON_MAX_DEPTH) return true;
  }
  return false;
}

export type ParsedJson = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problem: string };

/**
 * JSON that a caller sent. Bounded in depth, since JSON.parse takes any but what walks the value later (checks,
 * JSON.stringify) recurses. `problem` completes the sentence "the body …".
 */
export function parseJson(bytes: Uint8Array): ParsedJson {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (isDeep(text)) return { ok: false, problem: `is nested deeper than ${JSON_MAX_DEPTH} levels` };
    return { ok: true, value: JSON.parse(text) };
  } catch {
    return { ok: false, problem: "is not JSON in UTF-8" };
  }
}

/** The body as JSON of the schema's shape. @throws PlatformError invalid_input, body_too_large */
export async function readJson<S extends z.ZodType>(
  request: Request,
  schema: S,
  maxBytes = JSON_MAX_BYTES,
  room?: Room,
): Promise<z.output<S>> {
  const parsed = parseJson(await readBytes(request, maxBytes, room));
  if (!parsed.ok) throw new PlatformError("invalid_input", { message: `The body ${parsed.problem}.` });
  return check(schema, parsed.value, "body");
}
