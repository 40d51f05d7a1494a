// The only reader of the environment. Every setting stands in SETTINGS with unit, default and meaning;
// README and `mayfly settings` print that table. Only the mains import this file.
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { neverOpen } from "./capsule/never-open.ts";
import { parseRanges } from "./kernel/client-address.ts";

type Environment = Readonly<Record<string, string | undefined>>;
type Setting = { readonly name: string; readonly fallback: string; readonly unit: string; readonly meaning: string };

const setting = (name: string, fallback: string, unit: string, meaning: string): Setting => ({ name, fallback, unit, meaning });

/** Of a temporary account, over all of its Workers; see capsule/caps.ts. */
const cap = (name: string, fallback: string, unit: string, what: string): Setting =>
  setting(name, fallback, unit, `${what}, in ten minutes, of a temporary account; a claimed one has ten times as much; 0: no cap`);

export const SETTINGS = {
  port: setting("MAYFLY_PORT", "8787", "TCP port", "the API, the claim page, /healthz and /metrics"),
  bind: setting("MAYFLY_BIND", "127.0.0.1", "address", "where the API listens"),
  edgePort: setting("MAYFLY_EDGE_PORT", "8788", "TCP port", "where Workers answer"),
  edgeBind: setting("MAYFLY_EDGE_BIND", "127.0.0.1", "address", "where the edge listens; kept on loopback where the sandbox is weak"),
  edgeDomain: setting("MAYFLY_EDGE_DOMAIN", "mayfly.localhost", "domain", "Workers answer at <worker>--<subdomain>.<domain>"),
  url: setting("MAYFLY_URL", "", "origin", "public origin of the API and pages; http://localhost:<port> by default"),
  edgeUrl: setting("MAYFLY_EDGE_URL", "", "origin", "public scheme, domain and port of the edge; http://<domain>:<port> by default"),
  connectionsPerAddress: setting(
    "MAYFLY_CONNECTIONS_PER_ADDRESS",
    "2000",
    "connections",
    "at once from one address (IPv6: /56) to each port; trusted proxies have no bound",
  ),
  trustedProxies: setting("MAYFLY_TRUSTED_PROXIES", "", "addresses or CIDRs, by comma", "whose X-Forwarded-For is believed"),
  data: setting("MAYFLY_DATA", "./.mayfly", "directory", "everything that must outlive a restart"),
  run: setting("MAYFLY_RUN", "", "directory", "sockets; /run/mayfly-<8 hex> as root, else in the system's temporary directory"),
  databaseUrl: setting("MAYFLY_DATABASE_URL", "", "URL", "PostgreSQL; SQLite in the data directory when empty"),
  masterKey: setting("MAYFLY_MASTER_KEY", "", "64 hex digits", "seals everything secret; <data>/master.key when empty"),
  accountTtlSeconds: setting("MAYFLY_ACCOUNT_TTL_SECONDS", "3600", "seconds", "life of an unclaimed account"),
  accountTtlMaxSeconds: setting("MAYFLY_ACCOUNT_TTL_MAX_SECONDS", "3600", "seconds", "longest life that Mayfly-Lifetime may ask for"),
  powHashes: setting("MAYFLY_POW_HASHES", "1000000", "hashes, 1 to 64,000,000", "proof of work for an account"),
  powMaxHashes: setting("MAYFLY_POW_MAX_HASHES", "64000000", "hashes, 1 to 64,000,000", "the most that it costs when many are made"),
  accountsPerHourPerIp: setting(
    "MAYFLY_ACCOUNTS_PER_HOUR_PER_IP",
    "20",
    "accounts",
    "from one address (IPv6: /56); eight times as many from its /24 or /48",
  ),
  accountsPerHour: setting("MAYFLY_ACCOUNTS_PER_HOUR", "5000", "accounts", "from everybody together"),
  accountsMax: setting("MAYFLY_ACCOUNTS_MAX", "10000", "accounts", "that live at once and that nobody has claimed"),
  diskReserveBytes: setting(
    "MAYFLY_DISK_RESERVE_BYTES",
    "1073741824",
    "bytes",
    "of the data's disk without which no account is made; 0: none",
  ),
  signUp: setting("MAYFLY_SIGNUP", "", "open, verified or invite", "who may sign up; open while everything is on loopback, else invite"),
  claimsPerDay: setting("MAYFLY_CLAIMS_PER_DAY", "20", "accounts", "that one person may claim in 24 hours"),
  uploadMaxBytes: setting("MAYFLY_UPLOAD_MAX_BYTES", "10485760", "bytes, compressed", "largest Worker"),
  workersPerAccount: setting("MAYFLY_WORKERS_PER_ACCOUNT", "20", "Workers", "of a temporary account"),
  assetFiles: setting("MAYFLY_ASSET_FILES", "1000", "files", "static assets of one Worker of a temporary account"),
  assetMaxBytes: setting("MAYFLY_ASSET_MAX_BYTES", "5242880", "bytes", "largest static asset"),
  kvNamespaces: setting("MAYFLY_KV_NAMESPACES", "10", "namespaces", "of KV, of a temporary account"),
  kvBytes: setting("MAYFLY_KV_BYTES", "268435456", "bytes", "keys, values and metadata in KV of a temporary account"),
  d1Databases: setting("MAYFLY_D1_DATABASES", "1", "databases", "D1 databases of a temporary account"),
  d1Bytes: setting("MAYFLY_D1_BYTES", "100000000", "bytes", "largest D1 database"),
  objectNamespaces: setting("MAYFLY_OBJECT_NAMESPACES", "20", "namespaces", "of Durable Objects of a temporary account"),
  capsuleMemoryBytes: setting("MAYFLY_CAPSULE_MEMORY_BYTES", "268435456", "bytes", "memory of one account's process"),
  capsuleDiskBytes: setting("MAYFLY_CAPSULE_DISK_BYTES", "6442450944", "bytes", "disk of one account"),
  capsulesHot: setting("MAYFLY_CAPSULES_HOT", "200", "processes", "that may run at once; the least recently used is stopped first"),
  memoryReserveBytes: setting(
    "MAYFLY_MEMORY_RESERVE_BYTES",
    "134217728",
    "bytes",
    "of the machine's memory that stay free: idle processes are stopped for it, and no other is started",
  ),
  idleSeconds: setting("MAYFLY_IDLE_SECONDS", "120", "seconds", "without a request until a capsule's process is stopped"),
  sandbox: setting(
    "MAYFLY_SANDBOX",
    "auto",
    "auto, bubblewrap-root, bubblewrap-user, root or none",
    "the rung of the sandbox ladder; auto takes the first that works",
  ),
  logs: setting(
    "MAYFLY_LOGS",
    "full",
    "full, requests or off",
    "what accounts' logs hold: full needs 26 µs of CPU more a request than requests",
  ),
  logBytes: setting("MAYFLY_LOG_BYTES", "8388608", "bytes", "log of one account on disk; the oldest records go first; 0 keeps none"),
  capRequests: cap("MAYFLY_CAP_REQUESTS", "60000", "requests", "from callers"),
  capCpuSeconds: cap("MAYFLY_CAP_CPU_SECONDS", "120", "seconds", "of CPU time"),
  capServedBytes: cap("MAYFLY_CAP_SERVED_BYTES", "2147483648", "bytes", "of answers to callers"),
  capSubrequests: cap("MAYFLY_CAP_SUBREQUESTS", "6000", "requests", "of its Workers to other hosts"),
  capEgressBytes: cap("MAYFLY_CAP_EGRESS_BYTES", "268435456", "bytes", "between its Workers and the outside"),
  capEgressHosts: cap("MAYFLY_CAP_EGRESS_HOSTS", "100", "hosts", "outside that its Workers may reach"),
  capLogBytes: cap("MAYFLY_CAP_LOG_BYTES", "67108864", "bytes", "of log records"),
  egressPorts: setting(
    "MAYFLY_EGRESS_PORTS",
    "80,443",
    "ports by comma, or any",
    "open to the Workers of a temporary account; never 25, 465, 587, 2525, 23, 135, 137 to 139, 445",
  ),
  egressPortsClaimed: setting(
    "MAYFLY_EGRESS_PORTS_CLAIMED",
    "any",
    "ports by comma, or any",
    "open to those of a claimed one; never those either",
  ),
  egressConnections: setting(
    "MAYFLY_EGRESS_CONNECTIONS",
    "64",
    "connections",
    "to the outside that the Workers of a temporary account may hold",
  ),
  egressDeny: setting(
    "MAYFLY_EGRESS_DENY",
    "",
    "addresses or CIDRs, by comma",
    "closed to Workers: what is this machine's or its network's though public, such as its address behind NAT",
  ),
  cronTriggers: setting("MAYFLY_CRON_TRIGGERS", "5", "cron triggers", "of all Workers of a temporary account"),
  interstitial: setting(
    "MAYFLY_INTERSTITIAL",
    "",
    "on or off",
    "whether browsers are told who made a page before they show one of an unclaimed account; on where others can reach the edge",
  ),
  logLevel: setting("MAYFLY_LOG_LEVEL", "info", "trace to fatal, or silent", "least severe log line written"),
} as const satisfies Record<string, Setting>;

type Key = keyof typeof SETTINGS;

/** A setting that cannot be used: start prints it and exits. */
export class SettingError extends Error {
  constructor(key: Key, problem: string) {
    super(`${SETTINGS[key].name} ${problem} (${SETTINGS[key].meaning}; ${SETTINGS[key].unit}).`);
    this.name = "SettingError";
  }
}

const reader = (environment: Environment) => {
  const text = (key: Key): string => environment[SETTINGS[key].name]?.trim() || SETTINGS[key].fallback;
  const whole = (key: Key, least: number, most = Number.MAX_SAFE_INTEGER): number => {
    const value = Number(text(key));
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new SettingError(key, `must be a whole number from ${least} to ${most}, not "${text(key)}"`);
    }
    return value;
  };
  const oneOf = <const T extends string>(key: Key, choices: readonly T[]): T => {
    const found = choices.find((choice) => choice === text(key));
    if (found === undefined) throw new SettingError(key, `must be one of ${choices.join(", ")}, not "${text(key)}"`);
    return found;
  };
  const origin = (key: Key, fallback: string): URL => {
    const value = text(key) || fallback;
    if (!URL.canParse(value)) throw new SettingError(key, `must be an origin such as https://example.com, not "${value}"`);
    const url = new URL(value);
    if (!/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search || url.hash || url.username) {
      throw new SettingError(key, `must be scheme, host and port alone, not "${value}"`);
    }
    return url;
  };
  return { text, whole, oneOf, origin };
};

/** Less than a few long lines is no log. */
const LEAST_LOG_BYTES = 65_536;

function logBytes(bytes: number): number {
  if (bytes > 0 && bytes < LEAST_LOG_BYTES) throw new SettingError("logBytes", `must be 0 or at least ${LEAST_LOG_BYTES}, not "${bytes}"`);
  return bytes;
}

/** @throws SettingError */
function ports(key: "egressPorts" | "egressPortsClaimed", list: string): "any" | number[] {
  if (list === "any") return "any";
  const all = list.split(",").map((part) => Number(part.trim() || Number.NaN));
  const wrong = all.find((port) => !Number.isInteger(port) || port < 1 || port > 65_535);
  if (wrong !== undefined) throw new SettingError(key, `must be ports by comma, or any, not "${list}"`);
  const never = all.find((port) => neverOpen(port) !== null);
  if (never !== undefined) throw new SettingError(key, `must not name ${never}: ${neverOpen(never)}`);
  return all;
}

function ranges(key: "trustedProxies" | "egressDeny", list: string): string[] {
  const entries = list
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
  try {
    parseRanges(entries);
  } catch (error) {
    throw new SettingError(key, `cannot be read: ${(error as Error).message}`);
  }
  return entries;
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1|\[::1\])$/;

function shared(environment: Environment) {
  const { text, whole, origin } = reader(environment);
  const data = resolve(text("data"));
  const root = process.getuid?.() === 0;
  const digest = createHash("sha256").update(data).digest("hex").slice(0, 8);
  const run = text("run") || (root ? `/run/mayfly-${digest}` : join(tmpdir(), `mayfly-${process.getuid?.() ?? 0}-${digest}`));
  const edgeDomain = text("edgeDomain").toLowerCase();
  if (!/^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(edgeDomain)) {
    throw new SettingError("edgeDomain", `must be a domain name, not "${edgeDomain}"`);
  }
  const edgePort = whole("edgePort", 0, 65_535);
  return {
    data,
    run,
    hostSocket: join(run, "host.sock"),
    controlSocket: join(run, "control.sock"),
    edgePort,
    edgeDomain,
    edgeUrl: origin("edgeUrl", `http://${edgeDomain}:${edgePort}`),
    trustedProxies: ranges("trustedProxies", text("trustedProxies")),
    connectionsPerAddress: whole("connectionsPerAddress", 1),
    logLevel: text("logLevel"),
  };
}

/** Refuses a console origin that a tenant's host could share cookies with. */
function checkOrigins(url: URL, edgeDomain: string): void {
  const host = url.hostname;
  if (host === "localhost") return;
  if (host === edgeDomain || host.endsWith(`.${edgeDomain}`) || edgeDomain.endsWith(`.${host}`)) {
    throw new SettingError(
      "url",
      `(${host}) and the edge domain (${edgeDomain}) must not lie within each other: Workers could set the pages' cookies`,
    );
  }
}

/** Settings of the deciding process. @throws SettingError */
export function readControlConfig(environment: Environment) {
  const { text, whole, oneOf, origin } = reader(environment);
  const common = shared(environment);
  const port = whole("port", 0, 65_535);
  const bind = text("bind");
  const url = origin("url", `http://localhost:${port}`);
  checkOrigins(url, common.edgeDomain);
  const masterKey = text("masterKey");
  if (masterKey && !/^[0-9a-f]{64}$/i.test(masterKey)) throw new SettingError("masterKey", "must be 64 hexadecimal digits");
  const accountTtlSeconds = whole("accountTtlSeconds", 1);
  const onLoopback = LOOPBACK.test(bind) && LOOPBACK.test(url.hostname);
  return {
    ...common,
    port,
    bind,
    url,
    databaseUrl: text("databaseUrl") || null,
    masterKey: masterKey || null,
    accountTtlSeconds,
    accountTtlMaxSeconds: Math.max(accountTtlSeconds, whole("accountTtlMaxSeconds", 1)),
    powHashes: whole("powHashes", 1, 64_000_000),
    powMaxHashes: whole("powMaxHashes", 1, 64_000_000),
    accountsPerHourPerIp: whole("accountsPerHourPerIp", 1),
    accountsPerHour: whole("accountsPerHour", 1),
    accountsMax: whole("accountsMax", 1),
    diskReserveBytes: whole("diskReserveBytes", 0),
    signUp: text("signUp") ? oneOf("signUp", ["open", "verified", "invite"]) : onLoopback ? ("open" as const) : ("invite" as const),
    claimsPerDay: whole("claimsPerDay", 1),
    quota: {
      uploadMaxBytes: whole("uploadMaxBytes", 1),
      workersPerAccount: whole("workersPerAccount", 1),
      assetFiles: whole("assetFiles", 1),
      assetMaxBytes: whole("assetMaxBytes", 1),
      kvNamespaces: whole("kvNamespaces", 1),
      kvBytes: whole("kvBytes", 1),
      d1Databases: whole("d1Databases", 0),
      // An empty database has pages already.
      d1Bytes: whole("d1Bytes", 65_536),
      objectNamespaces: whole("objectNamespaces", 1),
      cronTriggers: whole("cronTriggers", 0),
    },
    limits: {
      memoryBytes: whole("capsuleMemoryBytes", 67_108_864),
      maxDiskBytes: whole("capsuleDiskBytes", 1),
      cpuWeight: 100,
      maxProcesses: 32,
      maxInnerRequests: 32,
      caps: {
        requests: whole("capRequests", 0),
        cpu_ms: whole("capCpuSeconds", 0) * 1000,
        served_bytes: whole("capServedBytes", 0),
        subrequests: whole("capSubrequests", 0),
        egress_bytes: whole("capEgressBytes", 0),
        egress_hosts: whole("capEgressHosts", 0),
        log_bytes: whole("capLogBytes", 0),
      },
      egress: { ports: ports("egressPorts", text("egressPorts")), maxConnections: whole("egressConnections", 1) },
    },
    egressPortsClaimed: ports("egressPortsClaimed", text("egressPortsClaimed")),
  };
}

/** Whether callers from elsewhere can reach the edge, by what it is called. */
const isPublic = (edgeBind: string, { hostname }: URL): boolean =>
  !LOOPBACK.test(edgeBind) || !(LOOPBACK.test(hostname) || hostname.endsWith(".localhost"));

/** Settings of the process that runs strangers' code; none of them opens the database or a seal. @throws SettingError */
export function readHostConfig(environment: Environment) {
  const { text, whole, oneOf, origin } = reader(environment);
  const common = shared(environment);
  const edgeBind = text("edgeBind");
  return {
    ...common,
    url: origin("url", `http://localhost:${whole("port", 0, 65_535)}`),
    egressDeny: ranges("egressDeny", text("egressDeny")),
    edgeBind,
    interstitial: text("interstitial") ? oneOf("interstitial", ["on", "off"]) === "on" : isPublic(edgeBind, common.edgeUrl),
    maxDiskBytes: whole("capsuleDiskBytes", 1),
    capsulesHot: whole("capsulesHot", 1),
    memoryReserveBytes: whole("memoryReserveBytes", 0),
    idleMs: whole("idleSeconds", 1) * 1000,
    logs: oneOf("logs", ["full", "requests", "off"]),
    logBytes: logBytes(whole("logBytes", 0)),
    sandbox: oneOf("sandbox", ["auto", "bubblewrap-root", "bubblewrap-user", "root", "none"]),
  };
}

export type ControlConfig = ReturnType<typeof readControlConfig>;
export type HostConfig = ReturnType<typeof readHostConfig>;

/** Names that must never reach the host's environment. */
export const CONTROL_ONLY = [SETTINGS.masterKey.name, SETTINGS.databaseUrl.name] as const;

/** Makes the data and socket directories with the rights that both wings rely on. */
export function prepareDirectories(config: { readonly data: string; readonly run: string }): void {
  mkdirSync(config.data, { recursive: true, mode: 0o700 });
  chmodSync(config.data, 0o700);
  mkdirSync(config.run, { recursive: true, mode: 0o711 });
  chmodSync(config.run, 0o711);
}
