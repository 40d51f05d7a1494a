// What every product provides, and what it is handed. Products never import each other: what one needs of
// another it asks for by name through `context.product`.
import type { Kysely } from "kysely";
import type { z } from "zod";
import type { ScheduledCall } from "../../capsule/calls.ts";
import type { Binding, ModuleSource, ObjectNamespace, RuntimeModule, Service, StateKept, Unit, WorkerService } from "../../capsule/spec.ts";
import type { CapsuleHost } from "../../capsule/messages.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import { PlatformError } from "../../kernel/errors.ts";
import { accountRoute, type Method, type Route } from "../http/routes.ts";
import type { Keys } from "../keys/keys.ts";
import type { Action, ProductName } from "../permissions/actions.ts";
import type { Principal, Resource } from "../permissions/authorize.ts";
import type { Schema } from "../store/schema.ts";
import type { Account, Store, Tx } from "../store/store.ts";
import type { Deed, Trail } from "../trail/trail.ts";

/** Limits with units; the operator's settings for temporary accounts, raised for claimed ones by quota.ts of each product. */
export type QuotaSettings = {
  readonly uploadMaxBytes: number;
  readonly workersPerAccount: number;
  readonly assetFiles: number;
  readonly assetMaxBytes: number;
  readonly kvNamespaces: number;
  readonly kvBytes: number;
  readonly d1Databases: number;
  readonly d1Bytes: number;
  readonly objectNamespaces: number;
  readonly cronTriggers: number;
};

export type ProductContext = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly host: CapsuleHost;
  readonly log: Log;
  readonly quota: QuotaSettings;
  /** Public origin of the API. */
  readonly url: URL;
  /** Directory of this wing, for what is too large for memory and need not outlive the process. */
  readonly spool: string;
  /** Where Workers answer: `label` is the part before the edge domain. */
  readonly edge: { readonly urlOf: (label: string) => string; readonly domain: string; readonly hasTls: boolean };
  /** Another product by name; undefined when this installation lacks it. */
  readonly product: (name: ProductName) => Product | undefined;
  /**
   * Runs a write that the capsule must see: in one transaction the deed, its trail entry and the new spec; after
   * the commit the host applies it. Resolves once new requests reach the new state.
   * @throws PlatformError as store.inAccount; capsule_failed when the write stands but the host could not apply it
   */
  readonly change: <T>(principal: Principal, fn: (tx: Tx, account: Account) => Promise<T>) => Promise<T>;
  /**
   * Does something outside the database, such as a write to a capsule's state: its intent is written into the trail
   * while the account is proved alive, then it is done, then its outcome is written.
   * @throws PlatformError as store.inAccount, and whatever `fn` throws
   */
  readonly outside: <T>(principal: Principal, action: Deed, resource: string, fn: () => Promise<T>) => Promise<T>;
  /** To be told after a commit that something may fall due earlier than was known. */
  readonly rescheduled: () => void;
  /** Every kind of binding that the products give, by its type on the wire. */
  readonly bindingKinds: () => ReadonlyMap<string, BindingKind>;
  /** @throws PlatformError forbidden, after recording the refusal; for permissions found inside a body, such as a binding's resource */
  readonly require: (principal: Principal, action: Action, resource: Resource) => void;
};

/** What a product adds to the account's process. */
export type Composition = {
  readonly services: readonly Service[];
  readonly fronts: Unit["fronts"];
  readonly ingress: Unit["ingress"];
  /** Hashes of every uploaded file that must stay on disk. */
  readonly keep: { readonly code: readonly string[]; readonly assets: readonly string[]; readonly state?: Partial<StateKept> };
};

/** A resource as another product may hold it: its permanent id and its name. */
export type Found = { readonly id: string; readonly name: string };

type WithoutName<B> = B extends unknown ? Omit<B, "name"> : never;

/** A binding ready for the process, without its name. */
export type BoundFragment =
  | WithoutName<Binding>
  /** Objects of a class whose namespace the named Worker owns: which service that is, Workers know. */
  | { readonly kind: "objects-of"; readonly workerId: string; readonly className: string };

/** What a binding says beside its name and type, as the wire has it and as it is kept. */
export type Fields = Readonly<Record<string, unknown>>;

/** A kind of binding that a product gives to Workers. */
export type BindingKind = {
  /** `type` on the wire. */
  readonly type: string;
  /** Strips what it does not know. */
  readonly fields: z.ZodType<Fields>;
  /**
   * Checks that what the binding names is there.
   * @param script the Worker that has the binding
   * @param plan what the upload under way makes of that Worker's Durable Objects; absent where nothing is uploaded
   * @returns what binding it needs a permission for; null where it needs none
   * @throws PlatformError invalid_upload, naming what is missing and how to make it
   */
  settle(
    db: Kysely<Schema>,
    account: AccountId,
    fields: Fields,
    script: string,
    plan?: ObjectPlan,
  ): Promise<{ action: Action; resource: Resource } | null>;
  /** Reads once what composing needs; the answer is pure, and null for a resource that is gone. */
  compose(db: Kysely<Schema>, account: AccountId): Promise<(fields: Fields, script: string) => BoundFragment | null>;
  /** Services of ours that such bindings lead to, in the process while a Worker has one; absent where the product composes its own. */
  readonly services?: readonly WorkerService[];
  /** The resource in words, such as `The KV namespace "…"`, for a Worker that uses it when it is gone. */
  describe(fields: Fields): string;
};

/** How much of something the account may have, and has. */
export type Limit = {
  /** `product.what`, snake case, such as `kv.namespaces`. */
  readonly name: string;
  readonly unit: "count" | "bytes" | "seconds" | "requests";
  /** Null: no cap of its own. */
  readonly max: number | null;
  /** Null where only the process knows. */
  readonly used: number | null;
  /** Of what frees by itself: when, in milliseconds since the epoch; null while nothing of it is used. */
  readonly freesAtMs?: number | null;
};

/** A static file as a Worker's version holds it. */
export type AssetFile = {
  /** URL path, percent-decoded, beginning with a slash. */
  readonly path: string;
  /** SHA-256 of the bytes. */
  readonly hash: string;
  readonly size: number;
  /**
   * As the client named it; null where it asked for none. Kept, but the process derives what it serves from the
   * path's extension: the same type for every extension that both tables know.
   */
  readonly contentType: string | null;
};

/** What the assets product gives to Workers. */
export type AssetLedger = {
  /**
   * The files of a completed upload.
   * @param token what the upload's last answer, or a session that wanted nothing, carried
   * @throws PlatformError asset_session_invalid for a token of another Worker, account or epoch, or a late one;
   *   asset_mismatch when a file has not been uploaded
   */
  redeem(writer: { readonly account: AccountId; readonly epoch: number }, script: string, token: string): Promise<AssetFile[]>;
};

/** What an upload makes of its Worker's namespaces of Durable Objects: decided from rows, written in its transaction. */
export type ObjectPlan = {
  /** Of the last migration; null before the first. */
  readonly tag: string | null;
  /** Whether anything is another than the rows have it. */
  readonly changes: boolean;
  /** Classes that the Worker will have. */
  readonly classes: ReadonlySet<string>;
  /** Classes that it had and whose objects go. */
  readonly deleted: ReadonlySet<string>;
  /** Workers whose classes are transferred to it. */
  readonly sources: readonly string[];
  /** @throws PlatformError class_not_exported, class_in_use where the script lacks one of the classes */
  readonly checkExports: (exported: readonly string[]) => void;
  /** Writes rows and trail. @param worker the Worker, which may be new */
  readonly apply: (tx: Tx, principal: Principal, worker: Found) => Promise<void>;
};

/** A namespace as Workers hear of it. */
export type OwnedNamespace = { readonly id: string; readonly className: string };

/** What the Durable Objects product gives to Workers. */
export type ObjectLedger = {
  /**
   * @param worker null for one that is new
   * @param migrations as the upload has them
   * @throws PlatformError invalid_upload, migration_out_of_step, migration_not_applicable, quota_exceeded
   */
  plan(
    db: Kysely<Schema>,
    account: AccountId,
    worker: { readonly id: string; readonly migrationTag: string | null } | null,
    script: string,
    migrations: unknown,
  ): Promise<ObjectPlan>;
  /** What a Worker owns. */
  owned(db: Kysely<Schema>, workerId: string): Promise<readonly OwnedNamespace[]>;
  /** Deletes a Worker's namespaces with their objects; rows and trail. @returns how many */
  remove(tx: Tx, principal: Principal, worker: Found): Promise<number>;
};

/** What a host label of the account leads to. */
export type Addressed =
  | { readonly kind: "nothing" }
  /** The spec as the rows stand has it. */
  | { readonly kind: "served" }
  /** The spec lacks it until it is woken. */
  | { readonly kind: "asleep" }
  | { readonly kind: "unavailable"; readonly reason: string; readonly retryAfterSeconds: number };

/** Who answers at the labels of an account; `name` is a label without the account's own part. */
export type Labels = {
  /** Reads alone and little: anybody may ask for anything. */
  find(db: Kysely<Schema>, account: AccountId, name: string): Promise<Addressed>;
  /** Brings what is asleep into the next spec; decides anew inside the transaction, and writes nothing for anything else. */
  wake(tx: Tx, account: Account, name: string): Promise<Addressed>;
  /**
   * Takes what was woken out of the next spec: the process came to grief, perhaps over it.
   * @returns whether there was anything
   */
  rest(tx: Tx, account: AccountId): Promise<boolean>;
};

/** A row that falls due, found by a look that holds nothing. */
export type Due = { readonly account: AccountId; readonly id: string };

/** What sets off handlers by the clock; the loop that asks knows no more of it. */
export type Schedules = {
  /** When the next of any living account falls due; null where there is none. */
  earliest(db: Kysely<Schema>, nowMs: number): Promise<number | null>;
  /** What has fallen due in living accounts, longest overdue first. */
  due(db: Kysely<Schema>, nowMs: number, most: number): Promise<readonly Due[]>;
  /**
   * Takes the latest occurrence that fell due and moves the row on to the next one, so that nobody takes it again.
   * Null where another was first, or where there is nothing to be run.
   */
  take(tx: Tx, due: Due, nowMs: number): Promise<ScheduledCall | null>;
  /** What is due, or was taken and never begun, is due again at that time, unless the next occurrence is before. */
  delay(tx: Tx, due: Due, nowMs: number, atMs: number): Promise<void>;
};

export type Product = {
  readonly name: ProductName;
  readonly routes: readonly Route[];
  /** The resource by id or name, inside the caller's transaction; null when the account has none such. */
  resolve(tx: Tx, account: AccountId, idOrName: string): Promise<Found | null>;
  /** Absent where Workers bind nothing of the product. */
  readonly bindings?: readonly BindingKind[];
  /** Namespaces of Durable Objects by the id of the Worker that owns them; present on that product alone. */
  readonly namespaces?: (db: Kysely<Schema>, account: AccountId) => Promise<ReadonlyMap<string, readonly ObjectNamespace[]>>;
  /** What an account may hold of it, and holds; absent where there is no cap. */
  readonly limits?: (db: Kysely<Schema>, account: Account) => Promise<readonly Limit[]>;
  /** Names of the Workers that bind the resource. */
  referencedBy(tx: Tx, account: AccountId, resource: Found): Promise<string[]>;
  /** Services that the account's process needs for this product. */
  compose(tx: Tx, account: Account): Promise<Composition>;
  /** Hashes of the static files that the product's resources hold; absent where a product holds none. */
  readonly assetsInUse?: (tx: Tx, account: AccountId) => Promise<ReadonlySet<string>>;
  /** Absent where a product answers at no label. */
  readonly labels?: Labels;
  /** Absent where nothing of the product runs by the clock. */
  readonly schedules?: Schedules;
  /** Present on the assets product alone. */
  readonly assets?: AssetLedger;
  /** Present on the Durable Objects product alone. */
  readonly objects?: ObjectLedger;
  /** Deletes every row of the account. Idempotent: a second call finds nothing. */
  teardown(tx: Tx, account: AccountId): Promise<{ readonly removed: number }>;
};

/**
 * Whether wrangler itself asks, and not the SDK that its commands use: a deploy that makes what its bindings lack, and that
 * makes it anew after a deploy that failed half-way, unless it is given what is there.
 */
export const isDeploying = ({ headers }: Request): boolean =>
  headers.get("user-agent")?.startsWith("wrangler/") === true && !headers.has("x-stainless-lang");

/** What every product and the logs say of a Worker that `resolve` does not find. */
export const noWorker = (script: string): PlatformError =>
  new PlatformError("worker_not_found", { message: `This Worker does not exist on this account: ${JSON.stringify(script.slice(0, 80))}.` });

export const NOTHING: Composition = { services: [], fronts: [], ingress: [], keep: { code: [], assets: [] } };

type OwnMore = Partial<Pick<WorkerService, "bindings" | "objects" | "compatibilityDate">> & {
  /** Beside the service's own module: further ones of ours, and workerd's, by the names under which they are imported. */
  readonly modules?: Readonly<Record<string, ModuleSource>>;
};

/** A service of ours beside the Workers. @param key names the service and its first module */
export const ownService = (key: RuntimeModule, { modules = {}, ...more }: OwnMore = {}): WorkerService => ({
  kind: "worker",
  id: key,
  origin: null,
  code: {
    format: "modules",
    modules: Object.entries({ [`${key}.js`]: { runtime: key }, ...modules }).map(([name, source]) => ({ name, kind: "esm", source })),
  },
  compatibilityDate: "2026-01-01",
  compatibilityFlags: [],
  bindings: [],
  ...more,
});

type Asked = readonly [Method, `/accounts/:account${string}`, Action];

/**
 * A product that clients ask for in a deploy but that is not there yet: its paths say so, with what to do. Never
 * 403: wrangler takes that for a permission and turns the binding into one that inherits.
 * @param title the product as a person calls it
 * @param asked routes that answer `product_unavailable`
 * @param instead what does the work here, a sentence without its full stop
 */
export function notThereYet(name: ProductName, title: string, asked: readonly Asked[], instead?: string): Product {
  const refuse = (): never => {
    throw new PlatformError("product_unavailable", {
      message: `${title}: not there yet in this installation.`,
      next: `${instead === undefined ? "Remove" : `${instead}; then remove`} its bindings from the configuration and deploy again; README.md lists the products that work.`,
    });
  };
  return {
    name,
    routes: asked.map(([method, path, action]) => accountRoute(method, path, { action, product: name }, refuse)),
    resolve: () => Promise.resolve(null),
    referencedBy: () => Promise.resolve([]),
    compose: () => Promise.resolve(NOTHING),
    teardown: () => Promise.resolve({ removed: 0 }),
  };
}
