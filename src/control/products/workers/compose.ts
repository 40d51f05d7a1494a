// Versions become services of the account's process. A binding whose Worker or entrypoint is gone is pointed at a
// stand-in that says so when it is called: one bad service must never stop the whole account.
import type { Binding, Service, WorkerService } from "../../../capsule/spec.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Composition } from "../product.ts";
import type { Keys } from "../../keys/keys.ts";
import type { Account, Tx } from "../../store/store.ts";
import { iso } from "../../../kernel/clock.ts";
import { reaches } from "./bindings.ts";
import { assetsServiceId, codeFiles, workerServiceId, type StoredBinding, type Version, type VersionDraft, type Worker } from "./model.ts";
import { labelOf } from "./names.ts";
import { activeVersions, heldFiles, listWorkers } from "./store.ts";

const ABSENT = "absent";
/** Of workerd's asset service: what a Worker's own ASSETS binding reaches. */
const ASSET_ENTRYPOINT = "AssetWorker";

type Target = { readonly service: string; readonly entrypoint?: string; readonly props?: string };
type ServiceBinding = Extract<StoredBinding, { type: "service" }>;

/** How the references in a Worker's bindings are resolved: by the account's rows, or for a trial. */
export type Surroundings = {
  readonly script: string;
  readonly target: (binding: ServiceBinding) => Target;
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

function servicesOf(one: Live, live: ReadonlyMap<string, Live>): Service[] {
  const { worker, version } = one;
  const id = workerServiceId(worker.id, version.number);
  const service = composeWorker(id, version, {
    script: worker.name,
    target: (binding) => targetOf(binding, live),
    assets: assetsServiceId(worker.id, version.number),
    versionMetadata: { id: version.id, tag: version.annotations["workers/tag"] ?? "", timestamp: iso(version.createdAtMs) },
  });
  if (version.assets === null) return service ? [service] : [];
  const assets: Service = {
    kind: "assets",
    id: assetsServiceId(worker.id, version.number),
    origin: { script: worker.name, version: version.id },
    files: version.assets.files.map(({ path, hash }) => ({ path, hash })),
    config: version.assets.config,
    worker: service ? id : null,
  };
  return service ? [service, assets] : [assets];
}

const absentService: WorkerService = {
  kind: "worker",
  id: ABSENT,
  origin: null,
  code: { format: "modules", modules: [{ name: "absent-service.js", kind: "esm", source: { runtime: "absent-service" } }] },
  compatibilityDate: "2026-01-01",
  compatibilityFlags: [],
  bindings: [],
};

const bindsAbsent = (service: Service): boolean =>
  service.kind === "worker" && service.bindings.some((binding) => binding.kind === "service" && binding.service === ABSENT);

async function liveWorkers(tx: Tx, keys: Keys, account: AccountId): Promise<Live[]> {
  const workers = await listWorkers(tx, keys, account);
  const versions = await activeVersions(tx, keys, account);
  return workers.flatMap((worker) => {
    const version = versions.get(worker.id);
    return version ? [{ worker, version }] : [];
  });
}

export async function composeWorkers(tx: Tx, keys: Keys, account: Account): Promise<Composition> {
  const all = await liveWorkers(tx, keys, account.id);
  const byName = new Map(all.map((one) => [one.worker.name, one]));
  const services = all.flatMap((one) => servicesOf(one, byName));
  const held = await heldFiles(tx, account.id);
  return {
    services: services.some(bindsAbsent) ? [...services, absentService] : services,
    ingress: all
      .filter((one) => one.worker.subdomainEnabled)
      .map((one) => ({ label: labelOf(one.worker.name, account.subdomain), service: front(one) })),
    keep: {
      code: [...new Set(held.code.flatMap((code) => codeFiles(code).map((file) => file.hash)))],
      assets: [...new Set(held.assets.flatMap((files) => files.map((file) => file.hash)))],
    },
  };
}
