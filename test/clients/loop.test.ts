import assert from "node:assert/strict";
import { test } from "node:test";
import { startInstallation } from "../fixtures/installation.ts";
import { startAgent } from "../fixtures/wrangler.ts";

const worker = (says: string): string =>
  `export default { fetch(request, env) { return new Response(${JSON.stringify(says)} + (env.GREETING ?? "")); } };`;
const config = (name: string, more: Record<string, unknown> = {}): string =>
  JSON.stringify({ name, main: "index.js", compatibility_date: "2026-06-01", ...more });

test("an unmodified wrangler deploys without an account, changes the code and deploys again at the same URL", async () => {
  await using installation = await startInstallation();
  await using agent = await startAgent(installation.api);
  agent.write("index.js", worker("first"));
  agent.write("wrangler.jsonc", config("hello"));

  const first = await agent.wrangler(["deploy", "--temporary"]);
  assert.equal(first.code, 0, first.output);
  assert.match(first.output, /Temporary account ready/);
  assert.match(first.output, /Claim URL: http:\/\/localhost:\d+\/claim#mfc_[0-9a-z]{57}/);
  const host = agent.target();
  assert.match(host, /^hello--[a-z]+-[a-z]+-[a-z0-9]{5}\.mayfly\.localhost$/);
  assert.ok(
    first.output.includes(`${host.replace(/^hello/, "NAME")}:${installation.edgePort}`),
    "the account's name carries the edge's address",
  );
  assert.equal((await installation.edge(host)).body, "first");

  agent.write("index.js", worker("second"));
  const second = await agent.wrangler(["deploy", "--temporary"]);
  assert.equal(second.code, 0, second.output);
  assert.match(second.output, /\(reused\)/);
  assert.equal(agent.target(), host);
  assert.equal((await installation.edge(host)).body, "second");
});

for (const name of ["egress", "kv", "control"]) {
  test(`a Worker named ${name} works like any other`, async () => {
    await using installation = await startInstallation();
    await using agent = await startAgent(installation.api);
    agent.write("index.js", worker(`I am ${name}`));
    agent.write("wrangler.jsonc", config(name));
    const deployed = await agent.wrangler(["deploy", "--temporary"]);
    assert.equal(deployed.code, 0, deployed.output);
    assert.equal((await installation.edge(agent.target())).body, `I am ${name}`);
  });
}

test("bindings that are not there yet are refused by name, and the Worker that runs stays", async () => {
  await using installation = await startInstallation();
  await using agent = await startAgent(installation.api);
  agent.write("index.js", worker("still here"));
  agent.write("wrangler.jsonc", config("hello"));
  await agent.wrangler(["deploy", "--temporary"]);
  agent.write("wrangler.jsonc", config("hello", { ai: { binding: "AI" } }));
  const refused = await agent.wrangler(["deploy", "--temporary"]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.output, /AI/);
  assert.match(refused.output, /code: 10021/);
  assert.equal((await installation.edge(agent.target())).body, "still here");
});

test("a Worker that cannot start is refused with the runtime's message, file and line, and the one that runs stays", async () => {
  await using installation = await startInstallation();
  await using agent = await startAgent(installation.api);
  agent.write("index.js", worker("still here"));
  agent.write("wrangler.jsonc", config("hello"));
  await agent.wrangler(["deploy", "--temporary"]);
  agent.write("index.js", `const broken = undefined;\nbroken.start();\n${worker("never")}`);
  const refused = await agent.wrangler(["deploy", "--temporary"]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.output, /Cannot read properties of undefined/);
  assert.match(refused.output, /code: 10021/);
  assert.equal((await installation.edge(agent.target())).body, "still here");
});

test("the temporary token ends its account, and from then on opens nothing", async () => {
  await using installation = await startInstallation();
  await using agent = await startAgent(installation.api);
  agent.write("index.js", worker("hello"));
  agent.write("wrangler.jsonc", config("hello"));
  await agent.wrangler(["deploy", "--temporary"]);
  const { id, apiToken } = agent.account();
  const headers = { authorization: `Bearer ${apiToken}` };
  const ended = await fetch(`${installation.api}/accounts/${id}`, { method: "DELETE", headers });
  assert.equal(ended.status, 200, await ended.clone().text());
  assert.equal((await fetch(`${installation.api}/accounts/${id}`, { headers })).status, 401);
  const gone = await installation.edge(agent.target());
  assert.equal(gone.status, 410);
  assert.match(gone.body, /ended/);
});
