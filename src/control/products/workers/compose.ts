// Versions become services of the account's process. A binding whose Worker or entrypoint is gone is pointed at a
// stand-in that says so when it is called: one bad service must never stop the whole account.
import type { Kysely } from "kysely";
import type { Binding, ObjectNamespace, Route, Service, WorkerService } from "../../../capsule/spec.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import { ownService, type BoundFragment, type Composition, type Fields, type ProductContext } from "../product.ts";
import type { Schema } from "../../store/schema.ts";
import type { Keys } from "../../keys/keys.ts";
import type { Account, Tx } from "../../store/store.ts";
import { iso } from "../../../kernel/clock.ts";
import { reaches } from "./bindings.ts";
import { cacheOf, cacheService } from "./cache.ts";
import { assetsServiceId, codeFiles, primaryOf, workerServiceId } from "./model.ts";
import type { StoredBinding, Version, VersionDraft, Worker } from "./model.ts";
import { labelOf } from "./names.ts";
import { previewLabels } from "./previews.ts";
import { aliasHolders } from "./previews-store.ts";
import { heldFiles, listWorkers, runningVersions } from "./store.ts";

const ABSENT = "absent";
/** Of workerd's asset service: what a Worker's own ASSETS binding reaches. */
const ASSET_ENTRYPOINT = "AssetWorker";

type Resource = Extract<StoredBinding, { type: "resource" }>;
type Bound = (binding: Resource, script: string) => BoundFragment;
type Target = { readonly service: string; readonly entrypoint?: string; readonly props?: string };
type ServiceBinding = Extract<StoredBinding, { type: "service" }>;

/** How the references in a Worker's bindings are resolved: by the account's rows, or for a trial. */
export type Surroundings = {
  readonly script: string;
  readonly target: (binding: ServiceBinding) => Target;
  readonly bound: Bound;
  /** The service that owns the namespaces of a Worker, by the Worker's id. */
  readonly serviceOf: (workerId: string) => string | undefined;
  readonly assets: string;
  readonly versionMetadata: { readonly id: string; readonly tag: string; readonly timestamp: string };
};

function composeBinding(binding: StoredBinding, around: Surroundings): Binding {
  const name = binding.name;
  switch (binding.type) {
    case "plain_text":
    case "secret_text":
    case "text_blob":
      return { kind: "text", name, text: binding.text };
    case "json":
      return { kind: "json", name, json: JSON.stringify(binding.json) };
    case "wasm_module":
      return { kind: "wasm", name, source: { hash: binding.hash } };
    case "data_blob":
      return { kind: "data", name, source: { hash: binding.hash } };
    case "version_metadata":
      return { kind: "json", name, json: JSON.stringify(around.versionMetadata) };
    case "assets":
      return { kind: "service", name, service: around.assets, entrypoint: ASSET_ENTRYPOINT };
    case "service":
      return { kind: "service", name, ...around.target(binding) };
    case "resource": {
      const fragment = around.bound(binding, around.script);
      if (fragment.kind !== "objects-of") return { name, ...fragment };
      const { workerId, className } = fragment;
      const service = around.serviceOf(workerId);
      // A class without a service that owns its namespace would stop the whole process.
      if (service !== undefined) return { kind: "objects", name, service, className };
      return {
        kind: "service",
        name,
        service: ABSENT,
        props: JSON.stringify({ resource: `The Durable Object class ${JSON.stringify(className)}` }),
      };
    }
    default:
      return binding satisfies never;
  }
}

/** The service of a version with code; null for static assets alone. */
export function composeWorker(
  id: string,
  version: Pick<VersionDraft, "code" | "compatibilityDate" | "compatibilityFlags" | "bindings">,
  around: Surroundings,
): WorkerService | null {
  const { code } = version;
  if (code.format === "none") return null;
  return {
    kind: "worker",
    id,
    origin: { script: around.script, version: around.versionMetadata.id },
    code:
      code.format === "modules"
        ? { format: "modules", modules: code.modules.map(({ name, kind, hash }) => ({ name, kind, source: { hash } })) }
        : { format: "service-worker", source: { hash: code.script.hash } },
    compatibilityDate: version.compatibilityDate,
    compatibilityFlags: [...version.compatibilityFlags],
    bindings: version.bindings.map((binding) => composeBinding(binding, around)),
  };
}

/** A version that is in the process. */
type Live = { readonly worker: Worker; readonly version: Version };

/** Where a request to the Worker goes: through its static assets where it has some. */
const front = ({ worker, version }: Live): string =>
  version.assets === null ? workerServiceId(worker.id, version.number) : assetsServiceId(worker.id, version.number);

function targetOf(binding: ServiceBinding, live: ReadonlyMap<string, Live>): Target {
  const callee = live.get(binding.service);
  const { entrypoint, props } = binding;
  if (!callee || !reaches(entrypoint, callee.version.exports)) {
    return { service: ABSENT, props: JSON.stringify({ worker: binding.service, ...(entrypoint !== undefined && { entrypoint }) }) };
  }
  return {
    service: entrypoint === undefined ? front(callee) : workerServiceId(callee.worker.id, callee.version.number),
    ...(entrypoint !== undefined && { entrypoint }),
    ...(props !== undefined && { props: JSON.stringify(props) }),
  };
}

/** What all versions of an account's Workers are composed against. */
type Company = {
  /** By name, the version that others bind. */
  readonly live: ReadonlyMap<string, Live>;
  readonly bound: Bound;
  /** By the Worker's id. */
  readonly namespaces: ReadonlyMap<string, readonly ObjectNamespace[]>;
};

/** The Worker's namespaces, on the one of its versions whose code their objects run. */
function objectsOf({ worker, version }: Live, namespaces: Company["namespaces"]): WorkerService["objects"] {
  const owned = namespaces.get(worker.id) ?? [];
  if (owned.length === 0 || primaryOf(worker.traffic) !== version.id) return undefined;
  return { disk: "objects", namespaces: [...owned] };
}

function servicesOf(one: Live, { live, bound, namespaces }: Company): Service[] {
  const { worker, version } = one;
  const withCode = [...live.values()].filter((owner) => owner.version.code.format !== "none");
  const owners = new Map(withCode.map((owner) => [owner.worker.id, workerServiceId(owner.worker.id, owner.version.number)]));
  const id = workerServiceId(worker.id, version.number);
  const service = composeWorker(id, version, {
    script: worker.name,
    target: (binding) => targetOf(binding, live),
    bound,
    serviceOf: (workerId) => owners.get(workerId),
    assets: assetsServiceId(worker.id, version.number),
    versionMetadata: { id: version.id, tag: version.annotations["workers/tag"] ?? "", timestamp: iso(version.createdAtMs) },
  });
  const objects = objectsOf(one, namespaces);
  const usesCache = version.code.format !== "none" && version.code.usesCache === true;
  const own = service && { ...service, ...(objects && { objects }), ...(usesCache && { cache: cacheOf(worker.id) }) };
  if (version.assets === null) return own ? [own] : [];
  const assets: Service = {
    kind: "assets",
    id: assetsServiceId(worker.id, version.number),
    origin: { script: worker.name, version: version.id },
    files: version.assets.files.map(({ path, hash }) => ({ path, hash })),
    config: version.assets.config,
    worker: service ? id : null,
  };
  return own ? [own, assets] : [assets];
}

const absentService: WorkerService = { ...ownService("absent-service"), id: ABSENT };

const bindsAbsent = (service: Service): boolean =>
  service.kind === "worker" && service.bindings.some((binding) => binding.kind === "service" && binding.service === ABSENT);

/** By Worker, newest version first. */
async function liveVersions(tx: Tx, keys: Keys, account: AccountId): Promise<Live[]> {
  const workers = await listWorkers(tx, keys, account);
  const byWorker = Map.groupBy(await runningVersions(tx, keys, account, workers), ({ workerId }) => workerId);
  return workers.flatMap((worker) => (byWorker.get(worker.id) ?? []).map((version) => ({ worker, version })));
}

const choice = (one: Live, percentage: number): Route["choices"][number] => ({ service: front(one), version: one.version.id, percentage });

/** The Worker's own label, and those of its previews that are in the process. @param versions of one Worker, newest first */
function routesOf(worker: Worker, versions: readonly Live[], holders: ReadonlySet<string>, subdomain: Account["subdomain"]): Route[] {
  const choices = versions.flatMap((one) => {
    const share = worker.traffic.find(({ versionId }) => versionId === one.version.id);
    return share ? [choice(one, share.percentage)] : [];
  });
  const own: Route[] =
    worker.subdomainEnabled && choices.length > 0 ? [{ label: labelOf(worker.name, subdomain), worker: worker.name, choices }] : [];
  const previews = versions.flatMap((one) =>
    previewLabels(worker, one.version, holders, subdomain).map((label) => ({ label, worker: worker.name, choices: [choice(one, 100)] })),
  );
  return [...own, ...previews];
}

/** Kinds of binding of other products that the versions have, each once. */
const kindsOf = (versions: readonly Pick<VersionDraft, "bindings">[]): string[] => [
  ...new Set(versions.flatMap(({ bindings }) => bindings.flatMap((one) => (one.type === "resource" ? [one.kind] : [])))),
];

/** Reads what the kinds of binding of some versions need; a resource that is gone becomes a stand-in that says so. */
export async function resourceComposer(
  context: ProductContext,
  db: Kysely<Schema>,
  account: AccountId,
  versions: readonly Pick<VersionDraft, "bindings">[],
): Promise<Bound> {
  const composers = new Map<string, (fields: Fields, script: string) => BoundFragment | null>();
  for (const type of kindsOf(versions)) {
    const kind = context.bindingKinds().get(type);
    if (kind) composers.set(type, await kind.compose(db, account));
  }
  return ({ kind, fields }, script) => {
    const resource = context.bindingKinds().get(kind)?.describe(fields) ?? `What the binding of type ${JSON.stringify(kind)} names`;
    return composers.get(kind)?.(fields, script) ?? { kind: "service", service: ABSENT, props: JSON.stringify({ resource }) };
  };
}

export async function composeWorkers(context: ProductContext, tx: Tx, account: Account): Promise<Composition> {
  const { keys } = context;
  const all = await liveVersions(tx, keys, account.id);
  // A Worker whose requests are split is bound, as a whole, by the version that has most of them.
  const primaries = all.filter(({ worker, version }) => primaryOf(worker.traffic) === version.id);
  const byName = new Map(primaries.map((one) => [one.worker.name, one]));
  const bound = await resourceComposer(
    context,
    tx,
    account.id,
    all.map(({ version }) => version),
  );
  const namespaces = (await context.product("durable-objects")?.namespaces?.(tx, account.id)) ?? new Map<string, ObjectNamespace[]>();
  const services = all.flatMap((one) => servicesOf(one, { live: byName, bound, namespaces }));
  const held = await heldFiles(tx, account.id);
  const holders = await aliasHolders(tx, account.id);
  const byWorker = [...Map.groupBy(all, ({ worker }) => worker)];
  return {
    services: [
      ...services,
      ...(services.some(bindsAbsent) ? [absentService] : []),
      ...(services.some((service) => service.kind === "worker" && service.cache) ? [cacheService] : []),
      ...kindsOf(all.map(({ version }) => version)).flatMap((type) => context.bindingKinds().get(type)?.services ?? []),
    ],
    fronts: all.map(front),
    ingress: byWorker.flatMap(([worker, versions]) => routesOf(worker, versions, holders, account.subdomain)),
    keep: {
      code: [...new Set(held.code.flatMap((code) => codeFiles(code).map((file) => file.hash)))],
      assets: [...new Set(held.assets.flatMap((files) => files.map((file) => file.hash)))],
    },
  };
}
