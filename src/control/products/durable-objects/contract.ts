// Migrations as uploads carry them, and namespaces as the API shows them: the only place where snake_case meets
// camelCase here.
import { z } from "zod";
import { PlatformError } from "../../../kernel/errors.ts";
import { WORDING } from "../../http/body.ts";
import type { Migrations, Step } from "./migrations.ts";
import { CLASS_NAME_MAX_BYTES, OBJECT_ID, OBJECTS_LISTED_MAX, STEP_CLASSES_MAX, STEPS_MAX, TAG_MAX_BYTES } from "./quota.ts";
import type { Listed } from "./store.ts";

const word = (maxBytes: number) =>
  z
    .string()
    .min(1, "empty")
    .refine((name) => Buffer.byteLength(name) <= maxBytes, `longer than ${maxBytes} bytes`)
    // oxlint-disable-next-line no-control-regex -- control characters are what is refused
    .refine((name) => !/[\u0000-\u001f\u007f]/.test(name), "holds control characters");
const className = word(CLASS_NAME_MAX_BYTES);
const listOf = <T extends z.ZodType>(item: T) => z.array(item).max(STEP_CLASSES_MAX, `more than ${STEP_CLASSES_MAX}`).nullish();

const stepFields = {
  new_classes: listOf(className),
  new_sqlite_classes: listOf(className),
  renamed_classes: listOf(z.looseObject({ from: className, to: className })),
  deleted_classes: listOf(className),
  transferred_classes: listOf(z.looseObject({ from: className, from_script: z.string().min(1, "empty").max(255), to: className })),
};
const step = z.looseObject(stepFields);
// An empty tag is none.
const tag = z.union([z.literal(""), word(TAG_MAX_BYTES)]).nullish();

const migrations = z.looseObject({
  old_tag: tag,
  new_tag: tag,
  steps: z.array(step).max(STEPS_MAX, `more than ${STEPS_MAX}`).nullish(),
  ...stepFields,
});

const toStep = (sent: z.infer<typeof step>): Step => ({
  created: [
    ...(sent.new_classes ?? []).map((className) => ({ className, sql: false })),
    ...(sent.new_sqlite_classes ?? []).map((className) => ({ className, sql: true })),
  ],
  renamed: sent.renamed_classes ?? [],
  deleted: sent.deleted_classes ?? [],
  transferred: (sent.transferred_classes ?? []).map(({ from, from_script, to }) => ({ from, script: from_script, to })),
});

/** What an upload's metadata says; null where it says nothing. @throws PlatformError invalid_upload */
export function toMigrations(sent: unknown): Migrations | null {
  if (sent === undefined || sent === null) return null;
  const parsed = migrations.safeParse(sent, WORDING);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const path = ["metadata.migrations", ...(issue?.path ?? []).map(String)].join(".");
    throw new PlatformError("invalid_upload", { message: `${path}: ${issue?.message ?? "not valid"}.` });
  }
  const { old_tag, new_tag, steps } = parsed.data;
  // Without `steps`, the object itself is the only one.
  return { oldTag: old_tag || null, newTag: new_tag || null, steps: (steps ?? [parsed.data]).map(toStep) };
}

/** Fields of a binding. `environment` has one value here and is not kept. */
export const bindingFields = z
  .object({ class_name: className, script_name: z.string().min(1, "empty").max(255).nullish() })
  .transform(({ class_name, script_name }): BindingFields => ({ class_name, ...(script_name ? { script_name } : {}) }));
export type BindingFields = { readonly class_name: string; readonly script_name?: string };

export const namespaceOnWire = ({ id, script, className, sql }: Listed) => ({
  id,
  name: `${script}_${className}`,
  script,
  class: className,
  use_sqlite: sql,
});

/** Query of a list of objects. */
export const objectsQuery = z.object({
  limit: z.coerce.number().int().min(1).max(OBJECTS_LISTED_MAX).default(OBJECTS_LISTED_MAX),
  cursor: z.union([z.literal(""), z.string().regex(OBJECT_ID, "is not one that a list gave")]).default(""),
});

export const objectOnWire = (id: string) => ({ id, hasStoredData: true });
