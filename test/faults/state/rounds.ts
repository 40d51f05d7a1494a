// Rounds of SIGKILL while every product is being written: whatever was acknowledged is there afterwards, through the
// API and through the Worker, and everything can be read and written again. Writes that failed may or may not be there.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { startInstallation, UNCAPPED, type Installation } from "../../fixtures/installation.ts";
import { tenantAt, type Tenant } from "../../fixtures/tenant.ts";

const WORKER = readFileSync(new URL("./worker.js", import.meta.url), "utf8");
const PRODUCTS = [
  "kv-worker",
  "kv-api",
  "kv-large",
  "d1-worker",
  "d1-api",
  "object-sql",
  "object-kv",
  "alarm",
  "assets",
  "deploy",
] as const;
type ProductName = (typeof PRODUCTS)[number];
const WINGS = [["host"], ["control"], ["control", "host"]] as const;

export type RoundsOptions = {
  readonly rounds: number;
  /** Told of each round as it ends. */
  readonly told?: (line: string) => void;
};

/** Acknowledged writes by product, and what was found wrong. */
export type Outcome = { readonly acknowledged: Readonly<Record<string, number>>; readonly failures: readonly string[] };

type Site = {
  readonly installation: Installation;
  readonly tenant: Tenant;
  readonly namespace: string;
  readonly database: string;
  readonly acknowledged: Map<ProductName, Set<string>>;
};

const LARGE = "L".repeat(200_000);

async function openSite(installation: Installation): Promise<Site> {
  const tenant = await tenantAt(installation);
  const post = async <T>(path: string, body: unknown): Promise<T> => {
    const answer = await tenant.call<T>("POST", `/accounts/${tenant.id}${path}`, JSON.stringify(body));
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${answer.message}`);
    return answer.result;
  };
  const namespace = (await post<{ id: string }>("/storage/kv/namespaces", { title: "faults" })).id;
  const database = (await post<{ uuid: string }>("/d1/database", { name: "faults" })).uuid;
  const site = { installation, tenant, namespace, database, acknowledged: new Map(PRODUCTS.map((name) => [name, new Set<string>()])) };
  await deploy(site, "0", true);
  await post(`/d1/database/${database}/query`, { sql: "CREATE TABLE api (id TEXT PRIMARY KEY)" });
  return site;
}

async function deploy({ tenant, namespace, database }: Site, version: string, first: boolean): Promise<void> {
  const jwt = await tenant.uploadAssets("app", { "/file.txt": `file ${version}` });
  await tenant.deploy("app", WORKER, {
    metadata: {
      compatibility_date: "2026-06-01",
      assets: { jwt, config: { run_worker_first: false } },
      ...(first && { migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Box"] }] } }),
      bindings: [
        { type: "plain_text", name: "VERSION", text: version },
        { type: "kv_namespace", name: "KV", namespace_id: namespace },
        { type: "d1", name: "DB", id: database },
        { type: "durable_object_namespace", name: "BOX", class_name: "Box" },
      ],
    },
  });
}

async function api(site: Site, method: string, path: string, body?: string): Promise<void> {
  const { tenant } = site;
  const response = await fetch(`${site.installation.api}/accounts/${tenant.id}${path}`, {
    method,
    headers: { authorization: `Bearer ${tenant.token}` },
    ...(body !== undefined && { body }),
  });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(String(response.status));
}

async function write(site: Site, product: ProductName, id: string): Promise<void> {
  switch (product) {
    case "kv-api":
      return api(site, "PUT", `/storage/kv/namespaces/${site.namespace}/values/api%3A${id}`, id);
    case "kv-large":
      return api(site, "PUT", `/storage/kv/namespaces/${site.namespace}/values/large%3A${id}`, id + LARGE);
    case "d1-api":
      return api(site, "POST", `/d1/database/${site.database}/query`, JSON.stringify({ sql: "INSERT INTO api VALUES (?)", params: [id] }));
    case "assets":
    case "deploy":
      await deploy(site, id, false);
      site.acknowledged.get("assets")?.add(id);
      return;
    default: {
      const { status } = await site.installation.edge(site.tenant.host("app"), `/write/${product}?id=${id}`);
      if (status !== 200) throw new Error(String(status));
    }
  }
}

let numbers = 0;

/** Writes one after another until told to stop; what is acknowledged is noted, what fails is not. */
async function keepWriting(site: Site, product: ProductName, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    const id = String(++numbers).padStart(9, "0");
    try {
      await write(site, product, id);
      site.acknowledged.get(product)?.add(id);
    } catch {
      await sleep(20);
    }
    if (product === "deploy") await sleep(700);
  }
}

const missing = (wanted: Iterable<string>, found: readonly string[]): string[] => {
  const there = new Set(found);
  return [...wanted].filter((id) => !there.has(id));
};

/** What is wrong now, in words; nothing where all is well. */
async function faultsOf(site: Site): Promise<string[]> {
  const host = site.tenant.host("app");
  const faults: string[] = [];
  const { status, body } = await site.installation.edge(host, "/read/all");
  if (status !== 200) return [`reading answers ${status}: ${body.slice(0, 200)}`];
  const found = JSON.parse(body) as Record<string, string[]>;
  for (const [product, ids] of site.acknowledged) {
    const there = found[product];
    const lost = there ? missing(ids, there) : [];
    if (lost.length > 0) faults.push(`${product}: ${lost.length} of ${ids.size} acknowledged writes are not there, ${lost[0]} for one`);
  }
  const newest = [...(site.acknowledged.get("deploy") ?? [])].at(-1);
  const version = (await site.installation.edge(host, "/version")).body;
  if (newest !== undefined && version < newest) faults.push(`deploy: version ${version} serves, but ${newest} was acknowledged`);
  const file = (await site.installation.edge(host, "/file.txt")).body;
  if (newest !== undefined && file < `file ${newest}`) faults.push(`assets: "${file}" is served, but ${newest} was acknowledged`);
  for (const id of [...(site.acknowledged.get("kv-large") ?? [])].slice(-5)) {
    const response = await fetch(
      `${site.installation.api}/accounts/${site.tenant.id}/storage/kv/namespaces/${site.namespace}/values/large%3A${id}`,
      { headers: { authorization: `Bearer ${site.tenant.token}` } },
    );
    if ((await response.text()) !== id + LARGE) faults.push(`kv-large: the value of ${id} is not what was written`);
  }
  return faults;
}

/** Every product takes a write again. */
async function writable(site: Site): Promise<string[]> {
  const failures: string[] = [];
  for (const product of PRODUCTS) {
    const id = String(++numbers).padStart(9, "0");
    await awaitUntil(() => write(site, product, id).then(() => true), { what: `${product} takes a write`, everyMs: 200 }).then(
      () => site.acknowledged.get(product)?.add(id),
      (error: unknown) => failures.push(`${product}: takes no write any more: ${String(error)}`),
    );
  }
  return failures;
}

async function round(site: Site, number: number): Promise<string[]> {
  const over = new AbortController();
  const writers = PRODUCTS.filter((product) => product !== "assets").map((product) => keepWriting(site, product, over.signal));
  await sleep(400 + Math.random() * 1_600);
  const wings = WINGS[number % WINGS.length] ?? WINGS[0];
  try {
    await site.installation.killWings(...wings);
  } catch (cause) {
    throw new Error(`${wings.join(" and ")} did not come back:\n${site.installation.output().slice(-4_000)}`, { cause });
  }
  over.abort();
  await Promise.all(writers);
  let faults: string[] = [];
  await awaitUntil(async () => (faults = await faultsOf(site)).length === 0, { what: "all is there", everyMs: 250 }).catch(() => {});
  return [...faults, ...(await writable(site))].map((fault) => `round ${number}, after SIGKILL of ${wings.join(" and ")}: ${fault}`);
}

/** Every alarm that was acknowledged rings, whatever was killed since. */
async function silentAlarms(site: Site): Promise<string[]> {
  let silent: string[] = [];
  const heard = async (): Promise<boolean> => {
    const { body } = await site.installation.edge(site.tenant.host("app"), "/read/all");
    silent = missing(site.acknowledged.get("alarm") ?? [], (JSON.parse(body) as { rang: string[] }).rang);
    return silent.length === 0;
  };
  await awaitUntil(heard, { what: "every alarm rang", everyMs: 500, deadlineMs: 30_000 }).catch(() => {});
  return silent.length === 0 ? [] : [`alarm: ${silent.length} never rang, ${silent[0]} for one`];
}

/** Runs the rounds over one installation and one account. */
export async function stateRounds({ rounds, told = () => {} }: RoundsOptions): Promise<Outcome> {
  await using installation = await startInstallation({
    ...UNCAPPED,
    MAYFLY_ACCOUNT_TTL_SECONDS: "7200",
    MAYFLY_ACCOUNT_TTL_MAX_SECONDS: "7200",
    // A hundred rounds of large values are more than an account may have by default.
    MAYFLY_KV_BYTES: "4000000000",
    MAYFLY_CAPSULE_DISK_BYTES: "34359738368",
  });
  const site = await openSite(installation);
  const failures: string[] = [];
  for (let number = 1; number <= rounds; number++) {
    const found = await round(site, number);
    failures.push(...found);
    const writes = [...site.acknowledged.values()].reduce((sum, ids) => sum + ids.size, 0);
    told(`round ${number} of ${rounds}: ${writes} writes acknowledged so far, ${found.length === 0 ? "all there" : found.join("; ")}`);
  }
  failures.push(...(await silentAlarms(site)));
  return { acknowledged: Object.fromEntries([...site.acknowledged].map(([name, ids]) => [name, ids.size])), failures };
}
