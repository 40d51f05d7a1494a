// The wire of D1: databases, statements with their parameters, and what the process answers. Complaints carry D1's own
// number for a bad request.
import { z } from "zod";
import { iso } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import { readJson } from "../../http/body.ts";
import type { Room } from "../../http/memory.ts";
import { NAME_MAX, QUERY_MAX_BYTES } from "./quota.ts";
import type { Database } from "./store.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const name = z
  .string()
  .min(1, "is empty")
  .max(NAME_MAX, `is longer than ${NAME_MAX} characters`)
  .regex(/^[A-Za-z0-9_-]*$/, "may hold letters, digits, hyphens and underscores only")
  .refine((text) => !UUID.test(text), "looks like the id of a database");

const readReplication = z.looseObject({ mode: z.enum(["auto", "disabled"], "must be auto or disabled") });

export const createBody = z.looseObject({
  name,
  /** There is one place: any hint is met as well as it can be. */
  primary_location_hint: z.string().nullish(),
  jurisdiction: z.null("this installation is in one place and promises no other; leave it out").optional(),
  read_replication: readReplication.nullish(),
});

export const replaceBody = z.looseObject({ read_replication: readReplication });
export const patchBody = z.looseObject({ read_replication: readReplication.optional() });

const byte = z.number().int().min(0).max(255);
/** An array of bytes is a blob, as the binding sends one. */
const param = z
  .union([z.string(), z.number(), z.boolean(), z.null(), z.array(byte)], "must be a text, a number, true, false, null or an array of bytes")
  .transform((value) => (typeof value === "boolean" ? Number(value) : value));
const statement = z.looseObject({ sql: z.string(), params: z.array(param).default([]) });

export const queryBody = z.union(
  [statement.transform((one) => [one]), z.looseObject({ batch: z.array(statement).min(1, "is empty") }).transform(({ batch }) => batch)],
  { error: "must be {sql, params?} or {batch: [{sql, params?}]}; params are texts, numbers, true, false, null or arrays of bytes" },
);
export type Statement = z.infer<typeof statement>;

/** @throws PlatformError database_input, body_too_large */
export async function readBody<S extends z.ZodType>(
  request: Request,
  schema: S,
  maxBytes = QUERY_MAX_BYTES,
  room?: Room,
): Promise<z.output<S>> {
  try {
    return await readJson(request, schema, maxBytes, room);
  } catch (error) {
    if (error instanceof PlatformError && error.code === "invalid_input")
      throw new PlatformError("database_input", { message: error.message, cause: error });
    throw error;
  }
}

export const sizes = z.object({ bytes: z.number().int().nonnegative(), tables: z.number().int().nonnegative() });
export type Sizes = z.infer<typeof sizes>;

/** Why the process refused statements. */
export const refusal = z.object({ error: z.string() });

const briefly = ({ id, name, createdAtMs }: Database) => ({ uuid: id, name, version: "production", created_at: iso(createdAtMs) });

export const listedOnWire = briefly;

/** @param known null while the process cannot be asked */
export const databaseOnWire = (database: Database, known: Sizes | null) => ({
  ...briefly(database),
  ...(known && { num_tables: known.tables, file_size: known.bytes }),
  read_replication: { mode: database.readReplication },
});
