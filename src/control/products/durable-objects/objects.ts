// The objects of a namespace, read from its files by the host's keeper. What comes back is the account's own process's
// word on its files, so it is bounded and checked.
import { z } from "zod";
import type { AccountId } from "../../../kernel/ids.ts";
import { readUntrusted } from "../../http/untrusted.ts";
import type { ProductContext } from "../product.ts";
import { OBJECT_ID, OBJECTS_LISTED_MAX } from "./quota.ts";

const listed = z.object({ ids: z.array(z.string().regex(OBJECT_ID)).max(OBJECTS_LISTED_MAX), more: z.boolean() });

/** Of the longest answer, with room. */
const ANSWER_MAX_BYTES = OBJECTS_LISTED_MAX * 80;

export type ObjectsPage = { readonly ids: readonly string[]; /** The last id; empty where nothing follows. */ readonly cursor: string };

/**
 * Ids of objects with stored data, in order.
 * @param after the last one of the page before
 * @throws PlatformError capsule_failed, account_gone
 */
export async function objectsOf(
  context: ProductContext,
  account: AccountId,
  key: string,
  page: { readonly after: string | null; readonly limit: number },
): Promise<ObjectsPage> {
  const answer = await context.host.state(account, { kind: "objects", key, ...page });
  const { ids, more } = await readUntrusted(answer, listed, {
    maxBytes: ANSWER_MAX_BYTES,
    otherwise: "The account's objects could not be listed.",
  });
  return { ids, cursor: more ? (ids.at(-1) ?? "") : "" };
}
