// The wire of KV: what callers send, checked so that every complaint names the field, and what they are answered.
import { z } from "zod";
import { PlatformError } from "../../../kernel/errors.ts";
import { check } from "../../http/body.ts";
import { BULK_GET_MAX_KEYS, BULK_MAX_PAIRS, KEY_MAX_BYTES, LIST_MAX_KEYS, LIST_MIN_KEYS } from "./quota.ts";
import { METADATA_MAX_BYTES, TITLE_MAX_BYTES, TTL_MIN_SECONDS } from "./quota.ts";
import type { Namespace } from "./store.ts";

const invalid = (message: string): PlatformError => new PlatformError("invalid_input", { message });

const noNul = (text: string): boolean => !text.includes("\0");

const title = z
  .string()
  .refine(noNul, "holds a NUL character")
  .refine((text) => text.trim() !== "", "is empty: a namespace needs a title")
  .refine((text) => Buffer.byteLength(text) <= TITLE_MAX_BYTES, `is longer than ${TITLE_MAX_BYTES} bytes`);
export const titleBody = z.looseObject({ title });

export const listQuery = z.object({ order: z.enum(["id", "title"]).default("id"), direction: z.enum(["asc", "desc"]).default("asc") });

export const keysQuery = z.object({
  limit: z.coerce.number().int().min(LIST_MIN_KEYS).max(LIST_MAX_KEYS).default(LIST_MAX_KEYS),
  prefix: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= KEY_MAX_BYTES, `is longer than ${KEY_MAX_BYTES} bytes`)
    .default(""),
  cursor: z.string().max(1024, "is none that a list answered").default(""),
});

/** What is wrong with a key; undefined where nothing is. */
function problemOf(key: string): string | undefined {
  if (key === "") return "is empty";
  if (key === "." || key === "..") return 'must not be "." or ".."';
  if (!key.isWellFormed() || !noNul(key)) return "must be Unicode text without NUL characters";
  const bytes = Buffer.byteLength(key);
  return bytes > KEY_MAX_BYTES ? `takes ${bytes} bytes, more than ${KEY_MAX_BYTES}` : undefined;
}

/** @throws PlatformError invalid_input */
export function checkKey(key: string): string {
  const problem = problemOf(key);
  if (problem !== undefined) throw invalid(`key: ${problem}.`);
  return key;
}

const key = z.string().superRefine((text, context) => {
  const problem = problemOf(text);
  if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
});

export const bulkKeys = z.array(key).min(1, "is empty: name at least one key").max(BULK_MAX_PAIRS, `has more than ${BULK_MAX_PAIRS} keys`);

export const bulkGetBody = z.looseObject({
  keys: z.array(key).min(1, "is empty: name at least one key").max(BULK_GET_MAX_KEYS, `has more than ${BULK_GET_MAX_KEYS} keys`),
  type: z.enum(["text", "json"]).default("text"),
  withMetadata: z.boolean().default(false),
});

/** Whole seconds; numbers arrive as text too. */
const whole = z.coerce.number().int("is not a whole number of seconds");
export const lifeQuery = z.object({
  expiration: whole.optional(),
  expiration_ttl: whole.optional(),
});

export type Life = {
  /** Seconds since the epoch. */
  readonly expiration: number | null;
  /** Seconds from now; goes before the other. */
  readonly ttl: number | null;
};

type SentLife = { readonly expiration?: number | null | undefined; readonly expiration_ttl?: number | null | undefined };

/** @param where what stands before the field's name @throws PlatformError invalid_input */
export function toLife({ expiration, expiration_ttl: ttl }: SentLife, nowMs: number, where = ""): Life {
  if (typeof ttl === "number") {
    if (ttl < TTL_MIN_SECONDS) throw invalid(`${where}expiration_ttl: must be at least ${TTL_MIN_SECONDS} seconds.`);
    return { expiration: null, ttl };
  }
  if (typeof expiration !== "number") return { expiration: null, ttl: null };
  if (expiration < nowMs / 1000 + TTL_MIN_SECONDS - 1) {
    throw invalid(`${where}expiration: must be seconds since 1970, at least ${TTL_MIN_SECONDS} in the future.`);
  }
  return { expiration, ttl: null };
}

/** Metadata as it is kept: JSON text. @throws PlatformError invalid_input */
export function toMetadata(metadata: unknown, where = ""): string | null {
  if (metadata === undefined || metadata === null) return null;
  const json = JSON.stringify(metadata);
  const bytes = Buffer.byteLength(json);
  if (bytes > METADATA_MAX_BYTES) throw invalid(`${where}metadata: takes ${bytes} bytes as JSON, more than ${METADATA_MAX_BYTES}.`);
  return json;
}

const seconds = z.number().int("is not a whole number of seconds").nullish();
const pair = z.looseObject({
  key,
  value: z.string(),
  base64: z.boolean().nullish(),
  expiration: seconds,
  expiration_ttl: seconds,
  metadata: z.unknown().optional(),
});

/** One pair of a bulk write, without its value. */
export type Pair = { readonly key: string; readonly value: Buffer; readonly life: Life; readonly metadata: string | null };

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** @param at its place in the body @throws PlatformError invalid_input, naming place and field */
export function toPair(sent: unknown, at: number, nowMs: number): Pair {
  const where = `[${at}].`;
  const { key, value, base64, metadata, ...life } = checkedPair(sent, where);
  if (base64 === true && !BASE64.test(value)) throw invalid(`${where}value: is not base64.`);
  return {
    key,
    value: Buffer.from(value, base64 === true ? "base64" : "utf8"),
    life: toLife(life, nowMs, where),
    metadata: toMetadata(metadata, where),
  };
}

function checkedPair(sent: unknown, where: string): z.infer<typeof pair> {
  try {
    return check(pair, sent, "pair");
  } catch (error) {
    throw error instanceof PlatformError ? invalid(`${where}${error.message}`) : error;
  }
}

export const namespaceOnWire = ({ id, title }: Namespace) => ({ id, title, supports_url_encoding: true });

export const bulkOnWire = (written: number, failed: readonly string[]) => ({ successful_key_count: written, unsuccessful_keys: failed });
