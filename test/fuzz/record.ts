// `node test/fuzz/record.ts`: lets the real wrangler do a whole loop against an installation and keeps what it sent, one
// request a line, in recordings/wrangler.ndjson. Requests that are alike but for their placeholders are kept once.
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { startInstallation } from "../fixtures/installation.ts";
import { startAgent, type Agent } from "../fixtures/wrangler.ts";
import { awaitUntil } from "../fixtures/await-until.ts";
import { unmasked } from "./placeholders.ts";
import { RECORDINGS, toLine, type Recorded } from "./recording.ts";
import { startRecordingProxy, type RecordingProxy } from "./recording-proxy.ts";

const WORKER = `import text from "./note.txt";
export class Counter extends DurableObject { async add() { return 1; } }
export default {
  async fetch(request, env) { console.log(request.url); return new Response(env.GREETING + text + (env.SECRET ?? "")); },
  async scheduled() {},
};`;

const CONFIG = {
  name: "app",
  main: "index.js",
  compatibility_date: "2026-06-01",
  vars: { GREETING: "hello", SETTINGS: { deep: [1, { two: true }] } },
  kv_namespaces: [{ binding: "KV" }],
  d1_databases: [{ binding: "DB", database_name: "app" }],
  durable_objects: { bindings: [{ name: "COUNTER", class_name: "Counter" }] },
  migrations: [{ tag: "v1", new_sqlite_classes: ["Counter"] }],
  triggers: { crons: ["*/5 * * * *", "0 0 1 * *"] },
  assets: { directory: "public", binding: "ASSETS", not_found_handling: "404-page" },
  rules: [{ type: "Text", globs: ["**/*.txt"], fallthrough: false }],
  observability: { enabled: true },
  version_metadata: { binding: "VERSION" },
};

function writeProject(agent: Agent): void {
  agent.write("index.js", `import { DurableObject } from "cloudflare:workers";\n${WORKER}`);
  agent.write("note.txt", "a note");
  agent.write("wrangler.jsonc", JSON.stringify(CONFIG));
  agent.write("public/index.html", "<h1>index</h1>");
  agent.write("public/404.html", "<h1>none</h1>");
  agent.write("public/style.css", "h1 { color: red }");
  agent.write(
    "public/image.bin",
    Uint8Array.from({ length: 400 }, (_, at) => at % 256),
  );
  agent.write("public/_headers", "/*\n  X-Site: yes\n");
  agent.write("public/_redirects", "/old /new 301\n/from/* /to/:splat 302\n");
  agent.write("migrations/0001_first.sql", "CREATE TABLE guests (id INTEGER PRIMARY KEY, name TEXT);");
  agent.write("rows.sql", "INSERT INTO guests (name) VALUES ('Ada'), ('Grace');");
  agent.write(
    "bulk.json",
    JSON.stringify([
      { key: "one", value: "1" },
      { key: "two", value: "2", metadata: { a: 1 } },
    ]),
  );
  agent.write("secrets.json", JSON.stringify({ FIRST: "one", SECOND: "two" }));
}

/** Every command of the loop, in order; a name in capitals is an id that an earlier one printed. */
const LOOP: readonly { readonly run: string; readonly stdin?: string; readonly fails?: true }[] = [
  { run: "deploy --temporary" },
  { run: "deploy --temporary --tag again --message second" },
  { run: "whoami" },
  { run: "secret put SECRET", stdin: "hidden" },
  { run: "secret bulk secrets.json" },
  { run: "secret list" },
  { run: "secret delete SECOND" },
  { run: "deploy --var GREETING:override --keep-vars" },
  { run: "versions upload --message tried --tag t" },
  { run: "versions secret put LATER", stdin: "later" },
  { run: "versions list" },
  { run: "versions view VERSION" },
  { run: "versions deploy VERSION@100 --yes" },
  { run: "deployments list" },
  { run: "deployments status" },
  { run: "rollback --yes --message back" },
  { run: "triggers deploy" },
  { run: "kv namespace create second" },
  { run: "kv namespace list" },
  { run: 'kv key put --binding KV --remote key value --metadata {"a":1} --ttl 3600' },
  { run: "kv key get --binding KV --remote key" },
  { run: "kv key list --binding KV --remote --prefix k" },
  { run: "kv bulk put bulk.json --binding KV --remote" },
  { run: "kv key delete --binding KV --remote key" },
  { run: "d1 list" },
  { run: "d1 info app" },
  { run: "d1 migrations list app --remote" },
  { run: "d1 migrations apply app --remote" },
  { run: "d1 execute app --remote --command SELECT_*_FROM_guests" },
  { run: "d1 execute app --remote --yes --file rows.sql" },
  { run: "d1 export app --remote --output out.sql" },
  { run: "d1 time-travel info app" },
  { run: "d1 insights app", fails: true },
  { run: "secrets-store store create mine --remote", fails: true },
  { run: "secrets-store store list --remote", fails: true },
  { run: "r2 bucket create pictures", fails: true },
  { run: "queues create jobs", fails: true },
  { run: "kv namespace delete --binding KV --skip-confirmation", fails: true },
  { run: "d1 delete app --skip-confirmation" },
  { run: "delete --force" },
];

async function tail(agent: Agent, proxy: RecordingProxy, ask: () => Promise<unknown>): Promise<void> {
  const env = signIn(agent);
  proxy.begin("tail");
  const running = agent.start(["tail", "app", "--format", "json", "--status", "ok", "--header", "x-test:1"], { env });
  await awaitUntil(() => proxy.recorded().some(({ path }) => path === "{listen}"), {
    what: "the tail is open",
    deadlineMs: 60_000,
  });
  await ask();
  await sleep(500);
  running.interrupt();
  await running.ended;
}

/** Most commands know no --temporary. */
function signIn(agent: Agent): Record<string, string> {
  const { id, apiToken } = agent.account();
  return { CLOUDFLARE_API_TOKEN: apiToken, CLOUDFLARE_ACCOUNT_ID: id };
}

function distinct(all: readonly Recorded[]): Recorded[] {
  const seen = new Set<string>();
  return all.filter(({ method, path, body }) => {
    const key = `${method} ${path}\n${body.replaceAll(/formdata-undici-\d+/g, "")}`;
    const first = !seen.has(key);
    seen.add(key);
    return first;
  });
}

await using installation = await startInstallation();
await using proxy = await startRecordingProxy(installation.apiPort);
await using agent = await startAgent(proxy.api);
writeProject(agent);
let version = "";
for (const { run, stdin = "", fails = false } of LOOP) {
  if (run.startsWith("rollback")) await tail(agent, proxy, () => installation.edge(agent.target(), "/", { "x-test": "1" }));
  proxy.begin(run);
  const args = run.split(" ").map((word) => word.replace("VERSION", version).replaceAll("_", run.includes("SELECT") ? " " : "_"));
  const done = await agent.wrangler(args, { stdin, env: run.includes("--temporary") ? {} : signIn(agent) });
  version = /Version ID: ([0-9a-f-]{36})/.exec(done.output)?.[1] ?? version;
  console.log(`${done.code === 0 ? "ok  " : fails ? "fails" : "FAIL"} wrangler ${run}`);
  if (done.code !== 0 && !fails) throw new Error(done.output);
}
const kept = distinct(proxy.recorded());
const bare = kept.map((recorded) => [recorded, unmasked(recorded)] as const).filter(([, secret]) => secret !== null);
if (bare.length > 0)
  throw new Error(`Without a placeholder: ${bare.map(([{ method, path }, secret]) => `${method} ${path}: ${secret}`).join("\n")}`);
writeFileSync(RECORDINGS, `${kept.map(toLine).join("\n")}\n`);
console.log(`${kept.length} requests`);
