// What an upload may do to namespaces: planned from rows before the trial and again inside the transaction, then
// written there together with the version that brought it.
import { PlatformError } from "../../../kernel/errors.ts";
import { newId } from "../../../kernel/ids.ts";
import type { Principal } from "../../permissions/authorize.ts";
import type { Tx } from "../../store/store.ts";
import type { Found, ObjectLedger, ObjectPlan, ProductContext } from "../product.ts";
import { toMigrations } from "./contract.ts";
import { applyMigrations, checkExported, type Namespace, type Outcome } from "./migrations.ts";
import { namespacesAllowed } from "./quota.ts";
import * as store from "./store.ts";

async function record(context: ProductContext, tx: Tx, principal: Principal, worker: Found, action: "migrate" | "delete", text: string) {
  await context.trail.append(tx, {
    at: context.store.clock.now(),
    account: principal.account,
    task: principal.task,
    actors: principal.actors,
    token: principal.token,
    action: `durable-objects:${action}`,
    resource: `workers/${worker.name}`,
    outcome: "done",
    tenantText: text,
  });
}

/** What the steps came to, for the trail. */
function inWords({ tag, own, gone }: Outcome): string {
  const came = own.filter((namespace) => namespace.came !== null).map((namespace) => `${namespace.came} ${namespace.className}`);
  return [`tag ${tag ?? "none"}`, ...came, ...gone.map(({ className }) => `delete-class ${className}`)].join(", ");
}

async function write(context: ProductContext, tx: Tx, principal: Principal, worker: Found, outcome: Outcome): Promise<void> {
  await store.deleteNamespaces(tx, principal.account, outcome.gone);
  const changed = outcome.own.flatMap(({ came, ...namespace }): Namespace[] =>
    came === null ? [] : [{ ...namespace, workerId: worker.id }],
  );
  await store.putNamespaces(tx, principal.account, changed);
  await record(context, tx, principal, worker, "migrate", inWords(outcome));
}

/** @param context of the product */
export function createLedger(context: ProductContext): ObjectLedger {
  const { clock } = context.store;
  const make = () => ({ id: newId(), uniqueKey: newId(), createdAtMs: clock.now() });
  return {
    plan: async (db, account, worker, script, sent): Promise<ObjectPlan> => {
      const migrations = toMigrations(sent);
      const namespaces = await store.listNamespaces(db, account);
      const workers = migrations ? await store.workerIds(db, account) : new Map<string, string>();
      const outcome = applyMigrations({ worker, script, namespaces, workers }, migrations, make);
      const { tag, own, gone, sources } = outcome;
      const added = own.filter(({ id }) => namespaces.every((known) => known.id !== id)).length;
      const total = namespaces.length + added - gone.length;
      const allowed = namespacesAllowed(context.quota, await store.stateOf(db, account));
      if (added > 0 && total > allowed) {
        throw new PlatformError("quota_exceeded", {
          message: `metadata.migrations: the account would have ${total} classes of Durable Objects, more than ${allowed}.`,
          next: "Delete classes that you no longer need (deleted_classes), or have a person claim the account.",
        });
      }
      const classes = new Set(own.map(({ className }) => className));
      const changes = gone.length > 0 || own.some(({ came }) => came !== null) || tag !== (worker?.migrationTag ?? null);
      return {
        tag,
        changes,
        classes,
        deleted: new Set(gone.map(({ className }) => className).filter((className) => !classes.has(className))),
        sources,
        checkExports: (exported) => checkExported(own, exported),
        apply: async (tx, principal, found) => {
          if (changes) await write(context, tx, principal, found, outcome);
        },
      };
    },
    owned: (db, workerId) => store.namespacesOfWorker(db, workerId),
    remove: async (tx, principal, worker) => {
      const owned = await store.namespacesOfWorker(tx, worker.id);
      if (owned.length === 0) return 0;
      await store.deleteNamespaces(tx, principal.account, owned);
      const text = owned.map(({ className }) => `delete-class ${className}`).join(", ");
      await record(context, tx, principal, worker, "delete", text);
      return owned.length;
    },
  };
}
