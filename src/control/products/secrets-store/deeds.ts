// What is done to stores and their secrets: rows, trail and the process's new bindings in one change.
import { PlatformError } from "../../../kernel/errors.ts";
import { newId, type AccountId } from "../../../kernel/ids.ts";
import type { Principal } from "../../permissions/authorize.ts";
import type { Tx } from "../../store/store.ts";
import type { ProductContext } from "../product.ts";
import { SECRETS_MAX, STORES_MAX } from "./quota.ts";
import * as rows from "./store.ts";
import type { Secret, SecretStore } from "./store.ts";

export const noStore = (id: string): PlatformError =>
  new PlatformError("secret_store_not_found", {
    message: `store: this account has no secrets store with the id ${JSON.stringify(id.slice(0, 80))}.`,
  });

const noSecret = (id: string): PlatformError =>
  new PlatformError("store_secret_not_found", {
    message: `secret: the store has no secret with the id ${JSON.stringify(id.slice(0, 80))}.`,
  });

export type SentSecret = Pick<Secret, "name" | "scopes" | "value"> & { readonly comment?: string | undefined };
export type SecretChange = {
  readonly scopes?: readonly string[] | undefined;
  readonly value?: string | undefined;
  readonly comment?: string | undefined;
};

export type Deeds = {
  createStore(principal: Principal, name: string): Promise<SecretStore>;
  deleteStore(principal: Principal, id: string): Promise<void>;
  create(principal: Principal, store: string, sent: readonly SentSecret[]): Promise<Secret[]>;
  duplicate(principal: Principal, store: string, id: string, as: Omit<SentSecret, "value">): Promise<Secret>;
  edit(principal: Principal, store: string, id: string, change: SecretChange): Promise<Secret>;
  remove(principal: Principal, store: string, ids: readonly string[]): Promise<void>;
};

/** @throws PlatformError secret_store_not_found */
export async function secretsOf(context: ProductContext, tx: Tx, account: AccountId, store: string): Promise<Secret[]> {
  if (!(await rows.findStore(tx, account, store))) throw noStore(store);
  return (await rows.listSecrets(tx, context.keys, account)).filter(({ storeId }) => storeId === store);
}

export function findSecret(secrets: readonly Secret[], id: string): Secret {
  const found = secrets.find((secret) => secret.id === id);
  if (!found) throw noSecret(id);
  return found;
}

async function add(context: ProductContext, tx: Tx, principal: Principal, store: string, sent: readonly SentSecret[]): Promise<Secret[]> {
  const { account } = principal;
  const there = await secretsOf(context, tx, account, store);
  const names = new Set(there.map(({ name }) => name));
  for (const { name } of sent) {
    if (names.has(name))
      throw new PlatformError("store_name_taken", { message: `name: the store has a secret ${JSON.stringify(name)} already.` });
    names.add(name);
  }
  const held = await rows.countSecrets(tx, account);
  if (held + sent.length > SECRETS_MAX) {
    throw new PlatformError("quota_exceeded", { message: `An account may have ${SECRETS_MAX} secrets in stores; it has ${held}.` });
  }
  const now = context.store.clock.now();
  const made = sent.map(({ name, scopes, value, comment = "" }) => ({
    id: newId(),
    storeId: store,
    name,
    scopes,
    value,
    comment,
    createdAtMs: now,
    modifiedAtMs: now,
  }));
  for (const secret of made) await rows.insertSecret(tx, context.keys, account, secret);
  return made;
}

export function createDeeds(context: ProductContext): Deeds {
  const { keys, trail } = context;
  const { clock } = context.store;
  const record = (tx: Tx, { account, task, actors, token }: Principal, action: `secrets-store:${string}`, id: string, text?: string) =>
    trail.append(tx, {
      at: clock.now(),
      account,
      task,
      actors,
      token,
      action,
      resource: `secrets-store/${id}`,
      outcome: "done",
      ...(text !== undefined && { tenantText: text }),
    });
  const names = (secrets: readonly { readonly name: string }[]): string => secrets.map(({ name }) => name).join(", ");
  return {
    createStore: (principal, name) =>
      context.store.inAccount(principal, async (tx, { id: account }) => {
        const there = await rows.listStores(tx, account);
        if (there.some((store) => store.name === name)) {
          throw new PlatformError("store_name_taken", {
            message: `name: the account has a secrets store ${JSON.stringify(name)} already.`,
          });
        }
        if (there.length >= STORES_MAX) {
          throw new PlatformError("quota_exceeded", {
            message: `An account may have ${STORES_MAX} secrets store; this one has ${JSON.stringify(there[0]?.name)}.`,
            next: "Use that store, or delete it first.",
          });
        }
        const store = { id: newId(), name, createdAtMs: clock.now(), modifiedAtMs: clock.now() };
        await rows.insertStore(tx, account, store);
        await record(tx, principal, "secrets-store:create", store.id, name);
        return store;
      }),
    deleteStore: (principal, id) =>
      context.change(principal, async (tx, { id: account }) => {
        if (!(await rows.findStore(tx, account, id))) throw noStore(id);
        await rows.deleteStore(tx, account, id);
        await record(tx, principal, "secrets-store:delete", id);
      }),
    create: (principal, store, sent) =>
      context.change(principal, async (tx) => {
        const made = await add(context, tx, principal, store, sent);
        await record(tx, principal, "secrets-store:write", store, names(made));
        return made;
      }),
    duplicate: (principal, store, id, as) =>
      context.change(principal, async (tx, { id: account }) => {
        const { value } = findSecret(await secretsOf(context, tx, account, store), id);
        const [made] = await add(context, tx, principal, store, [{ ...as, value }]);
        if (!made) throw noSecret(id);
        await record(tx, principal, "secrets-store:write", store, made.name);
        return made;
      }),
    edit: (principal, store, id, change) =>
      context.change(principal, async (tx, { id: account }) => {
        const before = findSecret(await secretsOf(context, tx, account, store), id);
        const { scopes = before.scopes, value = before.value, comment = before.comment } = change;
        const after = { ...before, scopes, value, comment, modifiedAtMs: clock.now() };
        await rows.updateSecret(tx, keys, account, after);
        await record(tx, principal, "secrets-store:write", store, after.name);
        return after;
      }),
    remove: (principal, store, ids) =>
      context.change(principal, async (tx, { id: account }) => {
        const secrets = await secretsOf(context, tx, account, store);
        const gone = ids.map((id) => findSecret(secrets, id));
        await rows.deleteSecrets(tx, account, ids);
        await record(tx, principal, "secrets-store:delete", store, names(gone));
      }),
  };
}
