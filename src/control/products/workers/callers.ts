// Who binds a Worker: read from the versions that serve, as an older one calls nobody.
import type { Kysely } from "kysely";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Keys } from "../../keys/keys.ts";
import type { Schema } from "../../store/schema.ts";
import { activeVersions, listWorkers } from "./store.ts";

export type Caller = { readonly caller: string; readonly bindings: readonly string[] };

/** Workers of the account other than itself whose service bindings name the Worker. */
export async function callersOf(db: Kysely<Schema>, keys: Keys, account: AccountId, name: string): Promise<Caller[]> {
  const versions = await activeVersions(db, keys, account);
  const callers: Caller[] = [];
  for (const worker of await listWorkers(db, keys, account)) {
    const held = versions.get(worker.id)?.bindings ?? [];
    const bindings = held.flatMap((binding) => (binding.type === "service" && binding.service === name ? [binding.name] : []));
    if (bindings.length > 0 && worker.name !== name) callers.push({ caller: worker.name, bindings });
  }
  return callers;
}
