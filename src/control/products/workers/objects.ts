// Where Workers meet their Durable Objects: an upload's migrations, the classes that what serves must export, and who
// binds the classes of whom.
import type { Kysely } from "kysely";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Principal } from "../../permissions/authorize.ts";
import type { Schema } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import type { Keys } from "../../keys/keys.ts";
import type { ObjectLedger, ObjectPlan, ProductContext } from "../product.ts";
import type { StoredBinding, Traffic, Worker } from "./model.ts";
import { listWorkers, exportsOfVersions, runningVersions } from "./store.ts";

/** On the wire; the kind itself is the Durable Objects product's. */
const KIND = "durable_object_namespace";

function ledgerOf(context: ProductContext): ObjectLedger {
  const ledger = context.product("durable-objects")?.objects;
  if (!ledger) throw new Error("The registry lacks Durable Objects");
  return ledger;
}

export type ObjectUser = { readonly caller: string; readonly binding: string; readonly className: string };

const classesBound = (script: string, owner: string, bindings: readonly StoredBinding[]): Omit<ObjectUser, "caller">[] =>
  bindings.flatMap((binding) => {
    if (binding.type !== "resource" || binding.kind !== KIND) return [];
    const { class_name: className, script_name: named = script } = binding.fields as { class_name: string; script_name?: string };
    return named === owner ? [{ binding: binding.name, className }] : [];
  });

/** Bindings of other Workers, in versions that are in the process, to classes of the named one; each once. */
export async function objectUsers(db: Kysely<Schema>, keys: Keys, account: AccountId, owner: string): Promise<ObjectUser[]> {
  const workers = await listWorkers(db, keys, account);
  const names = new Map(workers.map(({ id, name }) => [id, name]));
  const found = (await runningVersions(db, keys, account, workers)).flatMap(({ workerId, bindings }) => {
    const caller = names.get(workerId) ?? "";
    return caller === owner ? [] : classesBound(caller, owner, bindings).map((bound) => ({ caller, ...bound }));
  });
  return [...new Map(found.map((user) => [JSON.stringify(user), user])).values()];
}

/**
 * What an upload makes of the Worker's namespaces, as the rows stand.
 * @throws PlatformError as ObjectLedger.plan; forbidden for the classes of a Worker that the caller may not write;
 *   class_not_bindable where another Worker still binds a class that goes
 */
export async function planObjects(
  context: ProductContext,
  db: Kysely<Schema>,
  principal: Principal,
  upload: { readonly script: string; readonly worker: Worker | undefined; readonly migrations: unknown },
): Promise<ObjectPlan> {
  const { script, worker, migrations } = upload;
  const { account } = principal;
  const plan = await ledgerOf(context).plan(db, account, worker ?? null, script, migrations);
  for (const id of plan.sources) context.require(principal, "workers:write", { account, product: "workers", id });
  const users = plan.deleted.size > 0 ? await objectUsers(db, context.keys, account, script) : [];
  const user = users.find(({ className }) => plan.deleted.has(className));
  if (!user) return plan;
  throw new PlatformError("class_not_bindable", {
    message: `Cannot apply --delete-class migration to class '${user.className}' without also removing the binding that references it: the script '${user.caller}' binds it as ${JSON.stringify(user.binding)}.`,
    next: "Deploy that Worker without the binding first.",
  });
}

/**
 * Whatever serves must export the classes whose objects there are.
 * @throws PlatformError class_in_use
 */
export async function checkClasses(context: ProductContext, tx: Tx, worker: Worker, traffic: Traffic): Promise<void> {
  const owned = await ledgerOf(context).owned(tx, worker.id);
  if (owned.length === 0) return;
  for (const [id, { objects }] of await exportsOfVersions(tx, worker, traffic)) {
    const missing = owned.find(({ className }) => !objects.includes(className));
    if (!missing) continue;
    throw new PlatformError("class_in_use", {
      message: `Version ${id} does not export class '${missing.className}' which is depended on by existing Durable Objects.`,
      next: "Deploy a version that exports it; one from before a migration of classes cannot serve any more.",
    });
  }
}

/**
 * Deletes a Worker's namespaces with the Worker.
 * @param force even where other Workers bind them
 * @throws PlatformError class_in_use
 */
export async function removeObjects(context: ProductContext, tx: Tx, principal: Principal, worker: Worker, force: boolean): Promise<void> {
  const [user] = force ? [] : await objectUsers(tx, context.keys, principal.account, worker.name);
  const owned = user ? await ledgerOf(context).owned(tx, worker.id) : [];
  if (user && owned.length > 0) {
    throw new PlatformError("class_in_use", {
      message: `Cannot delete this Worker: the script '${user.caller}' binds its class of Durable Objects '${user.className}' as ${JSON.stringify(user.binding)}.`,
      next: "Deploy that Worker without the binding first, or send ?force=true to delete the objects all the same.",
    });
  }
  await ledgerOf(context).remove(tx, principal, worker);
}

/** Who binds the Worker's classes, with the namespaces that they reach by their present names. */
export async function objectReferences(context: ProductContext, db: Kysely<Schema>, account: AccountId, worker: Worker) {
  const owned = await ledgerOf(context).owned(db, worker.id);
  const users = owned.length === 0 ? [] : await objectUsers(db, context.keys, account, worker.name);
  return users.map((user) => ({ ...user, namespaceId: owned.find(({ className }) => className === user.className)?.id ?? null }));
}
