// The side of Mayfly: an installation as an operator starts it, to which the unmodified wrangler deploys the same files.
// A person claims the account: before that, answers bear what keeps search engines and caches off.
import assert from "node:assert/strict";
import { join } from "node:path";
import { FormBrowser } from "../fixtures/form-browser.ts";
import { startInstallation } from "../fixtures/installation.ts";
import { startAgent, type Agent } from "../fixtures/wrangler.ts";
import { SITE_WORKER, SITES, writeSite, type Site } from "./site.ts";
import { COMPATIBILITY_DATE, D1_BINDINGS, KEY_VALUE_CLASSES, KV_BINDINGS, OBJECTS, WORKER, workerFiles, type Side } from "./sides.ts";

function mainConfig(): Record<string, unknown> {
  const classes = Object.values(OBJECTS);
  return {
    name: WORKER,
    main: "index.js",
    compatibility_date: COMPATIBILITY_DATE,
    no_bundle: true,
    find_additional_modules: true,
    rules: [{ type: "ESModule", globs: ["**/*.js"] }],
    kv_namespaces: KV_BINDINGS.map((binding) => ({ binding })),
    d1_databases: D1_BINDINGS.map((binding) => ({ binding, database_name: `faithful-${binding.toLowerCase()}` })),
    durable_objects: { bindings: Object.entries(OBJECTS).map(([name, className]) => ({ name, class_name: className })) },
    migrations: [
      {
        tag: "v1",
        new_sqlite_classes: classes.filter((name) => !KEY_VALUE_CLASSES.includes(name)),
        new_classes: classes.filter((name) => KEY_VALUE_CLASSES.includes(name)),
      },
    ],
  };
}

function siteConfig(site: Site): Record<string, unknown> {
  return {
    name: site.name,
    compatibility_date: COMPATIBILITY_DATE,
    ...(site.worker && { main: "index.js", no_bundle: true }),
    assets: {
      directory: "../site",
      html_handling: site.html,
      not_found_handling: site.notFound,
      ...(site.worker && { binding: "ASSETS", run_worker_first: site.worker.first }),
    },
  };
}

/** @returns the Worker's host name */
async function deploy(agent: Agent, name: string, config: Record<string, unknown>): Promise<string> {
  agent.write(`${name}/wrangler.jsonc`, JSON.stringify(config));
  const results = join(agent.project, name, "results.ndjson");
  const args = ["deploy", "--temporary", "--config", `${name}/wrangler.jsonc`];
  const { code, output } = await agent.wrangler(args, { env: { WRANGLER_OUTPUT_FILE_PATH: results } });
  if (code !== 0) throw new Error(`wrangler did not deploy ${name}:\n${output}`);
  return agent.target(results);
}

export async function startMayfly(): Promise<Side & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  // Two databases, and room for the largest values of all products at once.
  const settings = { MAYFLY_D1_DATABASES: String(D1_BINDINGS.length), MAYFLY_CAPSULE_MEMORY_BYTES: String(1024 ** 3) };
  const installation = stack.use(await startInstallation(settings));
  const agent = stack.use(await startAgent(installation.api));
  const hosts = new Map<string, string>();
  for (const { path, contents } of workerFiles()) agent.write(`${WORKER}/${path}`, contents);
  hosts.set(WORKER, await deploy(agent, WORKER, mainConfig()));
  writeSite(join(agent.project, "site"));
  for (const site of SITES) {
    if (site.worker) agent.write(`${site.name}/index.js`, SITE_WORKER);
    hosts.set(site.name, await deploy(agent, site.name, siteConfig(site)));
  }
  const { id, claimUrl } = agent.account();
  const person = new FormBrowser({ url: new URL(installation.origin) });
  await person.opens(claimUrl);
  await person.signsUp();
  const claimed = await person.confirms(id);
  assert.ok(claimed.status < 400, claimed.text);
  const owned = stack.move();
  return {
    placeOf: (worker) => ({ port: installation.edgePort, host: hosts.get(worker) ?? "" }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
