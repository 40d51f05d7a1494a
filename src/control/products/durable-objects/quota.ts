// Limits of Durable Objects, with units. Pure: the operator's settings and the account's state in, numbers out.
import type { QuotaSettings } from "../product.ts";

/** Namespaces that an account may have; a claimed one has a person who answers for it. */
export function namespacesAllowed(settings: QuotaSettings, state: string): number {
  return state === "claimed" ? settings.objectNamespaces * 5 : settings.objectNamespaces;
}

export const CLASS_NAME_MAX_BYTES = 255;
export const TAG_MAX_BYTES = 255;
/** As `idFromName` and `newUniqueId` give it. */
export const OBJECT_ID = /^[0-9a-f]{64}$/;
/** On one page. */
export const OBJECTS_LISTED_MAX = 1000;
/** Steps of one upload, and classes that a step names in one list. */
export const STEPS_MAX = 200;
export const STEP_CLASSES_MAX = 100;
