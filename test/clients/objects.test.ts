// Durable Objects as the unmodified wrangler deploys, changes and deletes them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startInstallation } from "../fixtures/installation.ts";
import { startAgent, type Agent } from "../fixtures/wrangler.ts";

type Migration = Readonly<Record<string, unknown>>;
const V1: Migration = { tag: "v1", new_sqlite_classes: ["Counter"] };

const code = (className: string): string => `import { DurableObject } from "cloudflare:workers";
  export class ${className} extends DurableObject {
    async inc() { const n = ((await this.ctx.storage.get("n")) ?? 0) + 1; await this.ctx.storage.put("n", n); return n; }
  }
  export default { async fetch(request, env) { return new Response("${className} " + await env.NS.getByName("a").inc()); } };`;

/** Writes the project. @param className null: one without objects */
function project(agent: Agent, className: string | null, migrations: readonly Migration[]): void {
  const bindings = className === null ? [] : [{ name: "NS", class_name: className }];
  const config = { name: "app", main: "index.js", compatibility_date: "2026-06-01", durable_objects: { bindings }, migrations };
  agent.write("wrangler.jsonc", JSON.stringify(config));
  agent.write("index.js", className === null ? `export default { fetch: () => new Response("none") };` : code(className));
}

async function run(agent: Agent, ...args: readonly string[]): Promise<string> {
  const { code, output } = await agent.wrangler([...args, "--temporary"]);
  assert.equal(code, 0, output);
  return output;
}

async function refused(agent: Agent, ...args: readonly string[]): Promise<string> {
  const { code, output } = await agent.wrangler([...args, "--temporary"]);
  assert.notEqual(code, 0, output);
  return output;
}

test("wrangler makes a class, redeploys, renames and deletes it, and deletes the Worker", async () => {
  await using installation = await startInstallation();
  await using agent = await startAgent(installation.api);
  const says = async (): Promise<string> => (await installation.edge(agent.target())).body;

  project(agent, "Counter", [V1]);
  assert.match(await run(agent, "deploy"), /env\.NS \(Counter\)/);
  assert.deepEqual([await says(), await says()], ["Counter 1", "Counter 2"]);
  await run(agent, "deploy");
  assert.equal(await says(), "Counter 3");

  const v2 = { tag: "v2", renamed_classes: [{ from: "Counter", to: "Tally" }] };
  project(agent, "Tally", [V1, v2]);
  assert.match(await refused(agent, "versions", "upload"), /pending Durable Object migration/);
  await run(agent, "deploy");
  assert.equal(await says(), "Tally 4");
  await run(agent, "versions", "upload");

  project(agent, null, [V1, v2]);
  assert.match(await refused(agent, "deploy"), /does not export class 'Tally' which is depended on[^]*code: 10064/);
  assert.equal(await says(), "Tally 5");
  const v3 = { tag: "v3", deleted_classes: ["Tally"] };
  project(agent, null, [V1, v2, v3]);
  await run(agent, "deploy");
  assert.equal(await says(), "none");

  project(agent, "Counter", [V1, v2, v3, { tag: "v4", new_sqlite_classes: ["Counter"] }]);
  await run(agent, "deploy");
  assert.equal(await says(), "Counter 1");
  // Asked whether it really is to go; nobody is there, and nobody else binds the class.
  assert.match(await run(agent, "delete", "--force"), /Successfully deleted app/);
  assert.equal((await installation.edge(agent.target())).status, 404);
});

test("wrangler says why a migration does not apply, and who binds a class that is to go", async () => {
  await using installation = await startInstallation();
  await using agent = await startAgent(installation.api);
  project(agent, "Counter", []);
  assert.match(await refused(agent, "deploy"), /'Counter' because it is not currently configured[^]*new_sqlite_classes[^]*code: 10061/);
  project(agent, "Counter", [{ tag: "v1", new_sqlite_classes: ["Missing"] }]);
  assert.match(await refused(agent, "deploy"), /code: 100(61|70)/);
  project(agent, "Counter", [V1]);
  await run(agent, "deploy");

  // A configuration that lost its history sends all of it again.
  project(agent, "Counter", [{ ...V1, tag: "other" }]);
  assert.match(await refused(agent, "deploy"), /'Counter' that is already depended on by existing Durable Objects[^]*code: 10074/);

  const user = {
    name: "user",
    main: "user.js",
    compatibility_date: "2026-06-01",
    durable_objects: { bindings: [{ name: "NS", class_name: "Counter", script_name: "app" }] },
  };
  agent.write("user.jsonc", JSON.stringify(user));
  agent.write(
    "user.js",
    `export default { async fetch(request, env) { return new Response("user " + await env.NS.getByName("a").inc()); } };`,
  );
  await run(agent, "deploy", "-c", "user.jsonc");
  assert.equal((await installation.edge(agent.target())).body, "user 1");

  project(agent, "Counter", [V1]);
  // It asks, takes yes for an answer where nobody is, and then forces it.
  const deleted = await run(agent, "delete");
  assert.match(
    deleted,
    /Worker user \(production\) has a binding to the Durable Object Namespace "app_Counter"[^]*Successfully deleted app/,
  );
  assert.match((await installation.edge(agent.target())).body, /error|does not exist/i);
});
