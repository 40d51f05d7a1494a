// The wire of D1: databases, statements with their parameters, and what the process answers. Complaints carry D1's own
// number for a bad request.
import { z } from "zod";
import { iso } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import { check, readJson } from "../../http/body.ts";
import type { Room } from "../../http/memory.ts";
import type { Progress } from "./imports.ts";
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

const asInput = (error: unknown): unknown =>
  error instanceof PlatformError && error.code === "invalid_input"
    ? new PlatformError("database_input", { message: error.message, cause: error })
    : error;

/** @throws PlatformError database_input */
export function checkInput<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  try {
    return check(schema, value, what);
  } catch (error) {
    throw asInput(error);
  }
}

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
    throw asInput(error);
  }
}

const etag = z.string().regex(/^[0-9a-f]{32}$/, "must be the file's MD5: 32 hexadecimal digits in lower case");
export const importBody = z.discriminatedUnion(
  "action",
  [
    z.looseObject({ action: z.literal("init"), etag }),
    z.looseObject({ action: z.literal("ingest"), etag, filename: z.string() }),
    z.looseObject({ action: z.literal("poll"), current_bookmark: z.string() }),
  ],
  "must be init, ingest or poll",
);

const flag = z.boolean().nullish();
export const exportBody = z.looseObject({
  output_format: z.literal("polling", "must be polling"),
  dump_options: z
    .looseObject({ no_schema: flag, no_data: flag, tables: z.array(z.string().max(1_000)).max(1_000).nullish() })
    .refine(({ no_schema, no_data }) => !(no_schema && no_data), "leaves out schema and data alike")
    .nullish(),
});

const SERVED_BY = "keeper";

/** `rows_read` is not counted. */
export function importOnWire({ atBookmark, filename, ended }: Progress) {
  const head = { success: true, type: "import", filename, at_bookmark: atBookmark, messages: [], errors: [] };
  if (ended === null) return { ...head, status: "active" };
  if (ended.status === "error") return { ...head, status: "error", errors: [ended.message], error: ended.message };
  const { queries, rowsWritten, sizeAfter, durationMs } = ended.imported;
  const meta = {
    served_by: SERVED_BY,
    duration: durationMs,
    changes: rowsWritten,
    changed_db: true,
    size_after: sizeAfter,
    rows_read: 0,
    rows_written: rowsWritten,
  };
  return { ...head, status: "complete", result: { num_queries: queries, final_bookmark: ended.bookmark, meta } };
}

export const exportOnWire = (filename: string, signedUrl: string, atBookmark: string) => ({
  success: true,
  type: "export",
  at_bookmark: atBookmark,
  status: "complete",
  messages: [],
  result: { filename, signed_url: signedUrl },
});

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
