// A unit of a spec becomes the configuration of its process: pure composition, one workerd service a Service.
// Names of our own services hold a colon, which ids from a spec cannot, so nothing a tenant has collides with them.
import type {
  AssetsService,
  Binding,
  CapsuleLimits,
  Disk,
  Module,
  ModuleSource,
  Service,
  Unit,
  WorkerService,
} from "../../../capsule/spec.ts";
import type { InnerPaths } from "../../contract.ts";
import { encodeConfig } from "./encode.ts";
import { runtimeSource } from "./modules.ts";
import { withFileMark } from "../../file-mark.ts";
import { treePath } from "../files/tree.ts";
import { VOID } from "./workerd-config.ts";
import type { WorkerdBinding, WorkerdConfig, WorkerdDesignator, WorkerdModule, WorkerdService, WorkerdWorker } from "./workerd-config.ts";

/** Request header in which the edge hands `request.cf` over as JSON; the edge strips a caller's own. */
export const CF_BLOB_HEADER = "mayfly-cf-blob";
/** Request header that decides the scheme of `request.url`; the edge sets it anew. */
export const FORWARDED_PROTO_HEADER = "mayfly-forwarded-proto";
/** File names in the capsule's socket directory. */
export const CONTROL_SOCKET = "control.sock";
export const EGRESS_SOCKET = "egress.sock";
/** A GET of this path on the control socket answers 200 `pong` while the process is not stuck. */
export const PING_PATH = "/ping";
/** Of our own Workers; tenants choose theirs. */
export const OWN_COMPATIBILITY_DATE = "2026-11-01";

const EGRESS = "mayfly:egress";
const CONTROL = "mayfly:control";
/** Entrypoint of the control Worker that tail events go to. */
const TAIL = "Tail";
/** workerd's own default for `globalOutbound`; defined here so that even a Worker without one reaches nothing. */
const INTERNET = "internet";

export type Bytes = (source: ModuleSource) => Uint8Array;

const MIB = 1_048_576;
/** Share of the process's memory that one isolate's heap may take, at most what the hosted original gives. */
const HEAP_MAX_MIB = 128;

// A byte order mark is part of a text module's value.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** File names, in the socket directory, of the fronts' sockets; by service id. */
export function ingressSockets(unit: Unit): Map<string, string> {
  return new Map(unit.fronts.map((service, index) => [service, `${index}.sock`]));
}

function workerdModule(module: Module, bytes: Bytes): WorkerdModule {
  const name = module.name;
  if ("bundled" in module.source) return { name, bundled: module.source.bundled };
  const content = bytes(module.source);
  switch (module.kind) {
    case "esm":
      return { name, esModule: decoder.decode(content) };
    case "commonjs":
      return { name, commonJsModule: decoder.decode(content) };
    case "text":
      return { name, text: decoder.decode(content) };
    case "json":
      return { name, json: decoder.decode(content) };
    case "data":
      return { name, data: content };
    case "wasm":
      return { name, wasm: content };
    default:
      return module.kind satisfies never;
  }
}

type Designated = { readonly service: string; readonly entrypoint?: string | undefined; readonly props?: string | undefined };

function designator({ service, entrypoint, props }: Designated): WorkerdDesignator {
  return { name: service, ...(entrypoint !== undefined && { entrypoint }), ...(props !== undefined && { props: { json: props } }) };
}

const diskService = (disk: Disk): string => `mayfly:disk:${disk}`;

function workerdBinding(binding: Binding, bytes: Bytes): WorkerdBinding {
  const name = binding.name;
  switch (binding.kind) {
    case "text":
      return { name, text: binding.text };
    case "json":
      return { name, json: binding.json };
    case "data":
      return { name, data: bytes(binding.source) };
    case "wasm":
      return { name, wasmModule: bytes(binding.source) };
    case "service":
      return { name, service: designator(binding) };
    case "kv":
      return { name, kvNamespace: designator(binding) };
    case "d1": {
      const innerBindings = [{ name: "fetcher", service: designator(binding) }];
      return { name, wrapped: { moduleName: "cloudflare-internal:d1-api", innerBindings } };
    }
    case "analytics-engine":
      return { name, analyticsEngine: designator(binding) };
    case "objects":
      return { name, durableObjectNamespace: { className: binding.className, serviceName: binding.service } };
    case "disk":
      return { name, service: { name: diskService(binding.disk) } };
    default:
      return binding satisfies never;
  }
}

/** A Worker as workerd wants it, its outbound traffic sent to the named service. */
export function workerdWorker(worker: WorkerService, bytes: Bytes, outbound: string): WorkerdWorker {
  const { code } = worker;
  return {
    ...(code.format === "modules"
      ? { modules: code.modules.map((module) => workerdModule(module, bytes)) }
      : { serviceWorkerScript: decoder.decode(bytes(code.source)) }),
    compatibilityDate: worker.compatibilityDate,
    compatibilityFlags: worker.compatibilityFlags,
    bindings: worker.bindings.map((binding) => workerdBinding(binding, bytes)),
    globalOutbound: { name: outbound },
    ...(worker.cache && { cacheApiOutbound: designator(worker.cache) }),
    ...(worker.objects && {
      durableObjectNamespaces: worker.objects.namespaces.map(({ className, uniqueKey, sql }) => ({ className, uniqueKey, enableSql: sql })),
      durableObjectStorage: { localDisk: diskService(worker.objects.disk) },
    }),
  };
}

/** The disks that the unit's services use, each once. */
function disksOf(unit: Unit): Disk[] {
  const workers = unit.services.filter((service) => service.kind === "worker");
  const used = workers.flatMap(({ bindings, objects }) => [
    ...(objects ? [objects.disk] : []),
    ...bindings.flatMap((binding) => (binding.kind === "disk" ? [binding.disk] : [])),
  ]);
  return [...new Set(used)];
}

const diskServices = (unit: Unit, inner: InnerPaths): WorkerdService[] =>
  disksOf(unit).map((disk) => ({ name: diskService(disk), disk: { path: `${inner.state}/${disk}`, writable: true } }));

function assets(service: AssetsService, inner: InnerPaths): WorkerdService {
  return {
    name: service.id,
    assets: {
      path: `${inner.assets}/${treePath(service)}`,
      config: service.config,
      ...(service.worker === null ? { compatibilityDate: OWN_COMPATIBILITY_DATE } : { userWorker: { name: service.worker } }),
    },
  };
}

/** Of an asset service whose answers are marked: the edge's alone, which no binding names. */
const markedName = (id: string): string => `mayfly:files:${id}`;

function tenant(service: Service, { inner, bytes, tails }: ServeOptions): WorkerdService {
  if (service.kind === "assets") return assets(service, inner);
  const worker = workerdWorker(service, bytes, service.origin === null ? INTERNET : EGRESS);
  if (tails !== true || service.origin === null) return { name: service.id, worker };
  const props = { json: JSON.stringify({ service: service.id }) };
  return { name: service.id, worker: { ...worker, tails: [{ name: CONTROL, entrypoint: TAIL, props }] } };
}

/** A service that reaches nothing, under the name to which a Worker without `globalOutbound` would go. */
export const noInternet: WorkerdService = { name: INTERNET, network: { allow: [] } };

/** How the control Worker reaches what the account uploaded: `service:<id>`. */
const tenants = (unit: Unit): WorkerdBinding[] =>
  unit.services.flatMap(({ kind, id, origin }) =>
    kind === "worker" && origin !== null ? [{ name: `service:${id}`, service: { name: id } }] : [],
  );

function own(unit: Unit, inner: InnerPaths): WorkerdService[] {
  return [
    noInternet,
    { name: EGRESS, external: { address: `unix:${inner.sockets}/${EGRESS_SOCKET}`, http: { style: "proxy" } } },
    {
      name: CONTROL,
      worker: {
        modules: [{ name: "control.js", esModule: runtimeSource("control") }],
        compatibilityDate: OWN_COMPATIBILITY_DATE,
        compatibilityFlags: ["experimental", "service_binding_extra_handlers"],
        // Reaches every service of the process: never for a Worker that runs what somebody uploaded.
        bindings: [{ name: "PROCESS", workerdDebugPort: VOID }, ...tenants(unit)],
        globalOutbound: { name: INTERNET },
      },
    },
  ];
}

/** The flag that caps one isolate's heap within the process's memory. */
export function heapLimit(memoryBytes: number): string {
  return `--max-old-space-size=${Math.min(HEAP_MAX_MIB, Math.floor(memoryBytes / MIB / 2))}`;
}

/**
 * Flags for a process that serves. What requests leave behind on workerd's side of a heap goes only when V8 collects it
 * whole, which by default it puts off beyond 256 MiB: a hello under load would be killed for its memory. Starting small
 * it collects early, for 3 ms more at the start; a young generation below 4 MiB halves what busy scripts do.
 */
export function heapFlags(memoryBytes: number): string[] {
  return [heapLimit(memoryBytes), "--initial-old-space-size=4", "--max-semi-space-size=4"];
}

/** Beside the asset services that have a socket. */
function markedServices(unit: Unit, inner: InnerPaths, mark: string): { readonly id: string; readonly service: WorkerdService }[] {
  return unit.services.flatMap((service) => {
    if (service.kind !== "assets" || !unit.fronts.includes(service.id)) return [];
    const marked = { ...assets({ ...service, config: withFileMark(service.config, mark) }, inner), name: markedName(service.id) };
    return [{ id: service.id, service: marked }];
  });
}

function compose(unit: Unit, options: ServeOptions): WorkerdConfig {
  const { inner, limits } = options;
  const ids = new Set(unit.services.map((service) => service.id));
  if (ids.size !== unit.services.length || ids.has(INTERNET))
    throw new Error("the ids of a unit's services are not distinct from each other and from ours");
  const http = { cfBlobHeader: CF_BLOB_HEADER, forwardedProtoHeader: FORWARDED_PROTO_HEADER };
  const marked = options.fileMark === undefined ? [] : markedServices(unit, inner, options.fileMark);
  const behind = new Map(marked.map(({ id, service }) => [id, service.name]));
  return {
    services: [
      ...own(unit, inner),
      ...diskServices(unit, inner),
      ...unit.services.map((service) => tenant(service, options)),
      ...marked.map(({ service }) => service),
    ],
    sockets: [
      { name: CONTROL, address: `unix:${inner.sockets}/${CONTROL_SOCKET}`, service: { name: CONTROL }, http: {} },
      ...[...ingressSockets(unit)].map(([service, file]) => ({
        name: service,
        address: `unix:${inner.sockets}/${file}`,
        service: { name: behind.get(service) ?? service },
        http,
      })),
    ],
    ...(limits && { v8Flags: heapFlags(limits.memoryBytes) }),
  };
}

export type ServeOptions = {
  readonly inner: InnerPaths;
  /** Bytes of every module and binding of the unit; `moduleReader` (modules.ts) makes one. */
  readonly bytes: Bytes;
  readonly limits?: Pick<CapsuleLimits, "memoryBytes">;
  /** Whether what Workers log goes to the control Worker; costs every invocation 26 µs of CPU. */
  readonly tails?: boolean;
  /** What marks the files that go out through the fronts; without one nothing is marked. */
  readonly fileMark?: string;
};

/** What `workerd serve --experimental --binary -` reads on standard input for a unit. */
export function serveConfig(unit: Unit, options: ServeOptions): Uint8Array {
  return encodeConfig(compose(unit, options));
}
