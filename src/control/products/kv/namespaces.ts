// What is done to namespaces: rows and trail in one transaction, and the data of deleted ones purged afterwards.
import { PlatformError } from "../../../kernel/errors.ts";
import { newId, type AccountId } from "../../../kernel/ids.ts";
import type { Principal } from "../../permissions/authorize.ts";
import type { Account, Tx } from "../../store/store.ts";
import type { ProductContext } from "../product.ts";
import { purge } from "./process.ts";
import { kvLimits } from "./quota.ts";
import * as store from "./store.ts";
import type { Namespace } from "./store.ts";

export const noNamespace = (id: string): PlatformError =>
  new PlatformError("kv_namespace_not_found", {
    message: `namespace: namespace not found: this account has none with the id ${JSON.stringify(id.slice(0, 80))}.`,
  });

export type Namespaces = {
  /**
   * @param adopt whether one of the title is answered where there is one already
   * @throws PlatformError quota_exceeded, kv_title_taken
   */
  create(principal: Principal, title: string, adopt: boolean): Promise<Namespace>;
  /** @throws PlatformError kv_namespace_not_found, kv_title_taken */
  rename(principal: Principal, namespace: Namespace): Promise<Namespace>;
  /** Nothing shows or reaches it from the return on. @throws PlatformError kv_namespace_not_found */
  remove(principal: Principal, id: string): Promise<void>;
};

async function checkTitle(tx: Tx, account: AccountId, { id, title }: Namespace): Promise<void> {
  const taken = await store.findByTitle(tx, account, title);
  if (!taken || taken.id === id) return;
  throw new PlatformError("kv_title_taken", { message: "title: a namespace with this account ID and title already exists." });
}

async function checkRoom(tx: Tx, account: Account, { quota }: ProductContext): Promise<void> {
  const { namespaces } = kvLimits(quota, account.state);
  if ((await store.countNamespaces(tx, account.id)) < namespaces) return;
  throw new PlatformError("quota_exceeded", { message: `title: this account may have ${namespaces} KV namespaces, and has them.` });
}

export function createNamespaces(context: ProductContext): Namespaces {
  const { host, log, trail } = context;
  const { clock, db } = context.store;
  const record = (tx: Tx, { account, task, actors, token }: Principal, action: `kv:${string}`, { id, title }: Namespace) =>
    trail.append(tx, {
      at: clock.now(),
      account,
      task,
      actors,
      token,
      action,
      resource: `kv/${id}`,
      outcome: "done",
      ...(title !== "" && { tenantText: title }),
    });

  /** What is left over here goes with the next deletion, or when the process is at rest. */
  const purgeDeleted = async (principal: Principal): Promise<void> => {
    const { account } = principal;
    try {
      const ids = await store.deletedIds(db, account);
      for (const id of ids) await purge({ host, account, namespace: id });
      if (ids.length > 0) await context.change(principal, (tx) => store.dropDeleted(tx, account, ids));
    } catch (error) {
      log.warn({ err: error, account }, "the data of a deleted KV namespace is not purged yet");
    }
  };

  return {
    create: (principal, title, adopt) =>
      context.change(principal, async (tx, account) => {
        const there = adopt ? await store.findByTitle(tx, account.id, title) : undefined;
        if (there) return there;
        const namespace = { id: newId(), title };
        await checkTitle(tx, account.id, namespace);
        await checkRoom(tx, account, context);
        await store.insertNamespace(tx, account.id, namespace, clock.now());
        await record(tx, principal, "kv:create", namespace);
        return namespace;
      }),
    rename: (principal, namespace) =>
      context.store.inAccount(principal, async (tx, account) => {
        if (!(await store.findNamespace(tx, account.id, namespace.id))) throw noNamespace(namespace.id);
        await checkTitle(tx, account.id, namespace);
        await store.renameNamespace(tx, account.id, namespace);
        await record(tx, principal, "kv:rename", namespace);
        return namespace;
      }),
    remove: async (principal, id) => {
      await context.change(principal, async (tx, account) => {
        if (!(await store.findNamespace(tx, account.id, id))) throw noNamespace(id);
        await store.markDeleted(tx, account.id, id, clock.now());
        await record(tx, principal, "kv:delete", { id, title: "" });
      });
      await purgeDeleted(principal);
    },
  };
}
