// Who binds a Worker: read from the versions that are in the process, as any other calls nobody.
import type { Kysely } from "kysely";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Keys } from "../../keys/keys.ts";
import type { Schema } from "../../store/schema.ts";
import { listWorkers, runningVersions } from "./store.ts";

export type Caller = { readonly caller: string; readonly bindings: readonly string[] };

/** Workers of the account other than itself whose service bindings name the Worker. */
export async function callersOf(db: Kysely<Schema>, keys: Keys, account: AccountId, name: string): Promise<Caller[]> {
  const workers = await listWorkers(db, keys, account);
  const versions = Map.groupBy(await runningVersions(db, keys, account, workers), ({ workerId }) => workerId);
  const callers: Caller[] = [];
  for (const worker of workers) {
    const held = (versions.get(worker.id) ?? []).flatMap(({ bindings }) => bindings);
    const naming = held.flatMap((binding) => (binding.type === "service" && binding.service === name ? [binding.name] : []));
    const bindings = [...new Set(naming)];
    if (bindings.length > 0 && worker.name !== name) callers.push({ caller: worker.name, bindings });
  }
  return callers;
}
