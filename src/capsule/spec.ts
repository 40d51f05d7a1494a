// What control tells host about an account: plain data, checked on arrival. Modules are named by the SHA-256
// of their bytes, runtime modules by key; names that a tenant chose never become service or file names.
import { z } from "zod";
import { caps } from "./caps.ts";
import { GENERATED_ID } from "./state.ts";
import { ACCOUNT_ID, SHA256_HEX, type AccountId, type Subdomain } from "../kernel/ids.ts";

export const accountId = z
  .string()
  .regex(ACCOUNT_ID)
  .transform((id) => id as AccountId);
export const subdomain = z
  .string()
  .regex(/^[a-z0-9-]{1,40}$/)
  .transform((label) => label as Subdomain);
const hash = z.string().regex(SHA256_HEX);
/** Of our making, never a tenant's: a service of the process. */
const serviceId = z.string().regex(/^[a-z][a-z0-9-]{0,79}$/);

/** Modules of ours that services of a spec may run: files in `host/capsules/workerd/runtime/`. */
export const RUNTIME_MODULES = [
  "absent-service",
  "analytics",
  "cache",
  "d1",
  "d1-statements",
  "give-way",
  "kv",
  "rate-limits",
  "secrets-store",
] as const;

export type RuntimeModule = (typeof RUNTIME_MODULES)[number];

/** The bytes of a module: uploaded ones by hash in `code/`, ours by key, workerd's own by name in its binary. */
const source = z.union([
  z.object({ hash }),
  z.object({ runtime: z.enum(RUNTIME_MODULES) }),
  z.object({ bundled: z.enum(["/workerd/kv.js", "/workerd/d1.js"]) }),
]);

/** A directory under the account's `state/` that the process may write, and nothing else may. */
export const DISKS = ["kv", "d1", "objects", "cache", "analytics"] as const;
const disk = z.enum(DISKS);
export type Disk = z.infer<typeof disk>;

const moduleKind = z.enum(["esm", "commonjs", "text", "data", "wasm", "json"]);
const module = z.object({ name: z.string().min(1), kind: moduleKind, source });

/** A binding of a Worker as the process sees it: `name` is the tenant's, everything else is resolved. */
const binding = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("text"), name: z.string(), text: z.string() }),
  z.object({ kind: z.literal("json"), name: z.string(), json: z.string() }),
  z.object({ kind: z.literal("data"), name: z.string(), source }),
  z.object({ kind: z.literal("wasm"), name: z.string(), source }),
  z.object({
    kind: z.literal("service"),
    name: z.string(),
    service: serviceId,
    entrypoint: z.string().optional(),
    /** JSON object given to the callee as `ctx.props`. */
    props: z.string().optional(),
  }),
  /** workerd's own binding of that product over a service of ours; `props` says which resource of it. */
  z.object({ kind: z.enum(["kv", "d1", "analytics-engine"]), name: z.string(), service: serviceId, props: z.string() }),
  /** A class of Durable Objects, in the service that owns its namespace. */
  z.object({ kind: z.literal("objects"), name: z.string(), service: serviceId, className: z.string() }),
  /** Files of one of the account's disks; for services of ours alone. */
  z.object({ kind: z.literal("disk"), name: z.string(), disk }),
]);

const uniqueKey = z.string().regex(/^[a-z0-9]{1,40}$/);
const generatedId = z.string().regex(GENERATED_ID);

/** A namespace of Durable Objects. Its key is for ever: ids and files derive from it, and no two services may own the same. */
const objectNamespace = z.object({
  className: z.string().min(1),
  uniqueKey,
  /** Whether the class may use SQL; without it, the key-value storage alone. */
  sql: z.boolean(),
});

/**
 * What a service runs, as its owner calls it: for logs, never for names of anything. Null for a service of ours, which
 * reaches nothing outside the process and whose events are nobody's.
 */
const origin = z.object({ script: z.string(), version: z.string() }).nullable();

const workerService = z.object({
  kind: z.literal("worker"),
  id: serviceId,
  origin,
  code: z.union([
    /** The first module is the entry point. */
    z.object({ format: z.literal("modules"), modules: z.array(module).min(1) }),
    z.object({ format: z.literal("service-worker"), source }),
  ]),
  compatibilityDate: z.string(),
  compatibilityFlags: z.array(z.string()),
  bindings: z.array(binding),
  /** The namespaces that this service owns, and where their objects lie. */
  objects: z.object({ disk, namespaces: z.array(objectNamespace).min(1) }).optional(),
  /** The service of ours behind the Worker's Cache API; without it, the API refuses to be used. */
  cache: z.object({ service: serviceId, props: z.string() }).optional(),
});

const assetsService = z.object({
  kind: z.literal("assets"),
  id: serviceId,
  origin,
  /** URL path, percent-decoded, beginning with a slash → bytes in `assets/`. */
  files: z.array(z.object({ path: z.string().startsWith("/"), hash })),
  /** JSON for workerd's asset service: html_handling, not_found_handling, run_worker_first, headers, redirects. */
  config: z.string(),
  /** The Worker behind the files; null for assets alone. */
  worker: serviceId.nullable(),
});

const service = z.discriminatedUnion("kind", [workerService, assetsService]);

/** One version that may answer, with its share of the requests. */
const choice = z.object({ service: serviceId, version: z.string(), percentage: z.number().min(0).max(100) });

/** Who answers for a host label (the part before the edge domain). */
const route = z.object({
  label: z.string().regex(/^[a-z0-9-]{1,63}$/),
  /** The Worker as its owner calls it, and as callers do who ask for one of its versions. */
  worker: z.string(),
  /** Newest version first: what comes first holds the low end of the keys. Every service is a front. */
  choices: z.array(choice).min(1),
});

const unit = z.object({
  /** Names the unit's directory and sockets within the account. */
  id: z.string().regex(/^[a-z0-9]{1,8}$/),
  services: z.array(service),
  /** Services that have a socket of their own, whether or not a label leads to them now: routes change without a restart. */
  fronts: z.array(serviceId),
  ingress: z.array(route),
});

const limits = z.object({
  memoryBytes: z.number().int().positive(),
  /** Of 1024, against every other capsule. */
  cpuWeight: z.number().int().min(2).max(10_000),
  maxProcesses: z.number().int().positive(),
  maxDiskBytes: z.number().int().positive(),
  /** Requests from this account to hosts of this installation that may be in flight at once. */
  maxInnerRequests: z.number().int().positive(),
  /** Within ten minutes. */
  caps,
  /** What its Workers may reach of the outside; mail ports are never among it. */
  egress: z.object({
    ports: z.union([z.literal("any"), z.array(z.number().int().min(1).max(65_535))]),
    /** Open at once. */
    maxConnections: z.number().int().positive(),
  }),
});

/** What must stay under `state/`, by the ids that name it there; whatever else of these kinds is found goes. */
const stateKept = z.object({ kv: z.array(generatedId), d1: z.array(generatedId), objects: z.array(generatedId) });

export const capsuleSpec = z.object({
  account: accountId,
  subdomain,
  /** Whether a person answers for it. */
  claimed: z.boolean(),
  /** Rises when anything else in the spec changes; a lower one never replaces a higher one. */
  generation: z.number().int().nonnegative(),
  /** Milliseconds since the epoch; nothing of the account answers from then on. Null: no end. */
  endsAtMs: z.number().int().nullable(),
  /** Serves nothing while set; the reason is shown to callers. */
  suspended: z.string().nullable(),
  limits,
  /** Processes of the account: one today. */
  units: z.array(unit).length(1),
  /** Every uploaded file that must stay on disk, those of older versions included. */
  keep: z.object({ code: z.array(hash), assets: z.array(hash), state: stateKept.optional() }),
});

/** What is left of an account for a caller: why and when it stopped answering. */
export const tombstone = z.object({
  account: accountId,
  subdomain,
  reason: z.enum(["expired", "task-done", "owner", "operator"]),
  endedAtMs: z.number().int(),
});

/** One Worker to be tried before it is accepted; its service bindings lead nowhere during the trial. */
export const trial = z.object({
  account: accountId,
  worker: workerService,
  /** What a refusal is told with; nothing of it reaches the process. */
  sources: z
    .object({
      /** Of a service-worker script, which has no name in the process. */
      script: z.string().optional(),
      /** By file name: `index.js.map` is the map of `index.js`. */
      maps: z.array(z.object({ name: z.string(), hash })),
    })
    .optional(),
});

export type CapsuleSpec = z.infer<typeof capsuleSpec>;
export type Unit = z.infer<typeof unit>;
export type Route = z.infer<typeof route>;
export type Service = z.infer<typeof service>;
export type WorkerService = z.infer<typeof workerService>;
export type AssetsService = z.infer<typeof assetsService>;
export type Binding = z.infer<typeof binding>;
export type StateKept = z.infer<typeof stateKept>;
export type ObjectNamespace = z.infer<typeof objectNamespace>;
export type Module = z.infer<typeof module>;
export type ModuleSource = z.infer<typeof source>;
export type CapsuleLimits = z.infer<typeof limits>;
export type Tombstone = z.infer<typeof tombstone>;
export type Trial = z.infer<typeof trial>;
