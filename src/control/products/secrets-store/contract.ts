// The wire of secrets stores. A value comes in and never goes out.
import { z } from "zod";
import { iso } from "../../../kernel/clock.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import { COMMENT_MAX_BYTES, NAME_MAX_BYTES, SECRETS_MAX, VALUE_MAX_BYTES } from "./quota.ts";
import type { Secret, SecretStore } from "./store.ts";

/** What of the hosted original may use a secret; here Workers alone do. */
const SCOPES = ["workers", "ai_gateway", "dex", "access", "containers", "websearch"] as const;

const bytes = (max: number) => (text: string) => Buffer.byteLength(text) <= max;
const name = z
  .string()
  .regex(/^[A-Za-z0-9_-]+$/, "must be letters, digits, _ and -")
  .refine(bytes(NAME_MAX_BYTES), `is longer than ${NAME_MAX_BYTES} bytes`);
const comment = z
  .string()
  .refine(bytes(COMMENT_MAX_BYTES), `is longer than ${COMMENT_MAX_BYTES} bytes`)
  .refine((text) => text.isWellFormed(), "is not Unicode text");
const scopes = z.array(z.enum(SCOPES)).min(1, "is empty: a secret needs a scope, such as workers");
const value = z
  .string()
  .min(1, "is empty")
  .refine((text) => text.isWellFormed(), "is not Unicode text")
  .refine(bytes(VALUE_MAX_BYTES), `is longer than ${VALUE_MAX_BYTES} bytes`);

export const storeBody = z.looseObject({ name });

export const createBody = z
  .array(z.looseObject({ name, scopes, value, comment: comment.optional() }))
  .min(1, "is empty: send at least one secret")
  .max(SECRETS_MAX, `has more than ${SECRETS_MAX} secrets`);

export const editBody = z
  .looseObject({ scopes: scopes.optional(), value: value.optional(), comment: comment.optional() })
  .refine((sent) => sent.scopes ?? sent.value ?? sent.comment !== undefined, "changes nothing: send value, scopes or comment");

export const duplicateBody = z.looseObject({ name, scopes, comment: comment.optional() });

export const deleteBody = z.array(z.looseObject({ id: z.string().max(64) })).min(1, "is empty: name the secrets by their ids");

const direction = z.enum(["asc", "desc"]).default("asc");
export const storesQuery = z.object({ order: z.enum(["name", "created", "modified"]).default("created"), direction });
export const secretsQuery = z.object({
  order: z.enum(["name", "comment", "created", "modified", "status"]).default("created"),
  direction,
  search: z.string().default(""),
});

/** Of several scopes in a query, each is one that a secret may have. */
export const scopesQuery = z.array(z.enum(SCOPES));

export const storeOnWire = (account: AccountId, { id, name, createdAtMs, modifiedAtMs }: SecretStore) => ({
  id,
  name,
  account_id: account,
  created: iso(createdAtMs),
  modified: iso(modifiedAtMs),
});

export const secretOnWire = ({ id, storeId, name, comment, scopes, createdAtMs, modifiedAtMs }: Secret) => ({
  id,
  store_id: storeId,
  name,
  comment,
  scopes,
  status: "active",
  created: iso(createdAtMs),
  modified: iso(modifiedAtMs),
});
