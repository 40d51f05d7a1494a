// Keys and values, where they lie: in the account's process. What it answers is its word alone, so every answer is
// bounded while it is read and checked before it is believed.
import { type Readable, Transform } from "node:stream";
import { z } from "zod";
import type { CapsuleAnswer } from "../../../capsule/calls.ts";
import type { CapsuleHost } from "../../../capsule/messages.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Room } from "../../http/memory.ts";
import { readUntrusted } from "../../http/untrusted.ts";
import { CONTROL_ENTRYPOINT, propsOf, SERVICE } from "./compose.ts";
import type { Life, Pair } from "./contract.ts";
import { KEY_MAX_BYTES, LIST_MAX_KEYS, METADATA_MAX_BYTES, VALUE_MAX_BYTES, VALUES_MAX_BYTES } from "./quota.ts";

export type Place = { readonly host: CapsuleHost; readonly account: AccountId; readonly namespace: string };

type Asked = {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: Readable | Uint8Array;
  /** What bindings reach, rather than control's own entrypoint. */
  readonly plain?: boolean;
};

const refusal = z.object({ reason: z.string().max(40), message: z.string().max(1000) });
const REFUSAL_MAX_BYTES = 65_536;
/** Every character of a name or of metadata may be escaped. */
const LIST_MAX_BYTES = LIST_MAX_KEYS * (KEY_MAX_BYTES + METADATA_MAX_BYTES) * 6 + 65_536;

const UNREADABLE = "The account's process gave an answer that cannot be read.";

const strange = (cause: unknown): PlatformError => new PlatformError("capsule_failed", { message: UNREADABLE, cause });

const readJson = <S extends z.ZodType>(answer: CapsuleAnswer, schema: S, maxBytes: number, room?: Room): Promise<z.output<S>> =>
  readUntrusted(answer.body, schema, { maxBytes, otherwise: UNREADABLE, room });

/** What the process refused, in the terms of the API. */
async function refused(answer: CapsuleAnswer): Promise<PlatformError> {
  const { reason, message } = await readJson(answer, refusal, REFUSAL_MAX_BYTES);
  switch (reason) {
    case "full":
      return new PlatformError("quota_exceeded", { message });
    case "too-large":
    case "too-much":
      return new PlatformError("body_too_large", { message: `value: ${message}` });
    case "broken":
    case "invalid":
      return new PlatformError("invalid_input", { message: `value: ${message}` });
    default:
      return new PlatformError("capsule_failed", {
        message: "The account's process could not do it.",
        detail: { message },
      });
  }
}

/** @returns null where the process has nothing of that name */
async function ask({ host, account, namespace }: Place, { method, path, body, plain }: Asked): Promise<CapsuleAnswer | null> {
  const entrypoint = plain === true ? null : CONTROL_ENTRYPOINT;
  const answer = await host.call({ account, service: SERVICE, entrypoint, props: propsOf(namespace), method, path, headers: {} }, body);
  if (answer.status === 200) return answer;
  if (answer.status !== 404 && plain !== true) throw await refused(answer);
  answer.body.destroy();
  if (answer.status === 404) return null;
  // All that a list asks for is checked already, but for what only the process can read.
  if (answer.status === 400) throw new PlatformError("invalid_input", { message: "cursor: is none that a list answered." });
  throw strange(new Error(`${method} ${path}: ${answer.status}`));
}

async function done(place: Place, asked: Asked): Promise<void> {
  const answer = await ask(place, asked);
  if (answer === null) throw strange(new Error(`${asked.method} ${asked.path}: 404`));
  await readJson(answer, z.null(), REFUSAL_MAX_BYTES);
}

const at = (what: string, key: string): string => `/${what}/${encodeURIComponent(key)}`;

/** Cuts a value off where it is longer than any can be. */
function bounded(maxBytes: number): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, next) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) next(strange(new Error("a value without end")));
      else next(null, chunk);
    },
  });
}

/** @returns null where there is none */
export async function getValue(place: Place, key: string): Promise<{ readonly body: Readable; readonly expiration: string | null } | null> {
  const answer = await ask(place, { method: "GET", path: at("values", key) });
  if (answer === null) return null;
  const { expiration } = answer.headers;
  const body = bounded(VALUE_MAX_BYTES);
  answer.body.on("error", (error) => body.destroy(error)).pipe(body);
  body.on("close", () => answer.body.destroy());
  return { body, expiration: expiration !== undefined && /^\d{1,12}$/.test(expiration) ? expiration : null };
}

/** @param framed as value-body.ts makes it */
export function putValue(place: Place, key: string, framed: Readable | Uint8Array, { expiration, ttl }: Life): Promise<void> {
  const query = ttl !== null ? `?expiration_ttl=${ttl}` : expiration !== null ? `?expiration=${expiration}` : "";
  return done(place, { method: "PUT", path: at("values", key) + query, body: framed });
}

export const deleteValue = (place: Place, key: string): Promise<void> => done(place, { method: "DELETE", path: at("values", key) });

const metadataText = z.string().max(METADATA_MAX_BYTES * 2);
const metadataAnswer = z.object({ metadata: metadataText.nullable() });

function fromText(metadata: string | null | undefined): unknown {
  if (metadata === null || metadata === undefined) return null;
  try {
    return JSON.parse(metadata) as unknown;
  } catch {
    return metadata;
  }
}

/** @returns undefined where there is no such key */
export async function getMetadata(place: Place, key: string): Promise<unknown> {
  const answer = await ask(place, { method: "GET", path: at("metadata", key) });
  if (answer === null) return undefined;
  return fromText((await readJson(answer, metadataAnswer, REFUSAL_MAX_BYTES)).metadata);
}

const keyList = z.object({
  keys: z
    .array(z.object({ name: z.string().max(KEY_MAX_BYTES), expiration: z.number().optional(), metadata: metadataText.optional() }))
    .max(LIST_MAX_KEYS),
  list_complete: z.boolean(),
  cursor: z.string().max(1024).optional(),
});

export type KeyPage = {
  readonly keys: readonly { readonly name: string; readonly expiration?: number; readonly metadata?: unknown }[];
  /** Empty at the end. */
  readonly cursor: string;
};

export type KeysAsked = { readonly prefix: string; readonly cursor: string; readonly limit: number };

/** Names in the order of their bytes. @throws PlatformError invalid_input for a cursor that no list answered */
export async function listKeys(place: Place, { prefix, cursor, limit }: KeysAsked): Promise<KeyPage> {
  const query = new URLSearchParams({ prefix, key_count_limit: String(limit), ...(cursor !== "" && { cursor }) });
  const answer = await ask(place, { method: "GET", path: `/?${query.toString()}`, plain: true });
  if (answer === null) throw strange(new Error("list: 404"));
  const list = await readJson(answer, keyList, LIST_MAX_BYTES);
  const keys = list.keys.map(({ name, expiration, metadata }) => ({
    name,
    ...(expiration !== undefined && { expiration }),
    ...(metadata !== undefined && { metadata: fromText(metadata) }),
  }));
  return { keys, cursor: list.list_complete ? "" : (list.cursor ?? "") };
}

export type Found = { readonly value: string; readonly expiration: number | null; readonly metadata: unknown };

const foundValues = z.array(z.tuple([z.string(), z.number().nullable(), metadataText.nullable()]).nullable());

/** @param room what the answer takes of memory @returns by the keys' places, null for those that are not there */
export async function getValues(place: Place, keys: readonly string[], room: Room): Promise<(Found | null)[]> {
  const answer = await ask(place, { method: "POST", path: "/get", body: Buffer.from(JSON.stringify(keys)) });
  if (answer === null) throw strange(new Error("get: 404"));
  const found = await readJson(answer, foundValues, VALUES_MAX_BYTES, room);
  if (found.length !== keys.length) throw strange(new Error(`${found.length} values for ${keys.length} keys`));
  return found.map((one) => one && { value: one[0], expiration: one[1], metadata: fromText(one[2]) });
}

/** All of them or none. */
export function putPairs(place: Place, pairs: readonly Pair[]): Promise<void> {
  const heads = pairs.map(({ key, value, life, metadata }) => [key, value.byteLength, life.expiration, life.ttl, metadata]);
  const body = Buffer.concat([Buffer.from(`${JSON.stringify(heads)}\n`), ...pairs.map(({ value }) => value)]);
  return done(place, { method: "POST", path: "/put", body });
}

/** All of them, in one transaction. */
export const deleteKeys = (place: Place, keys: readonly string[]): Promise<void> =>
  done(place, { method: "POST", path: "/delete", body: Buffer.from(JSON.stringify(keys)) });

/** Deletes everything that the namespace holds. */
export const purge = (place: Place): Promise<void> => done(place, { method: "POST", path: "/purge" });

const usageAnswer = z.object({ bytes: z.number().nonnegative() });

/** Bytes of the namespaces' keys, values and metadata together; null where the process does not tell. */
export async function bytesHeld(host: CapsuleHost, account: AccountId, namespaces: readonly string[]): Promise<number | null> {
  let bytes = 0;
  try {
    for (const namespace of namespaces) {
      const answer = await ask({ host, account, namespace }, { method: "GET", path: "/usage" });
      if (answer === null) return null;
      bytes += (await readJson(answer, usageAnswer, REFUSAL_MAX_BYTES)).bytes;
    }
    return bytes;
  } catch {
    return null;
  }
}
