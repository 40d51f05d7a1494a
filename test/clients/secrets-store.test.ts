// wrangler's own `secrets-store` commands, and a deploy that binds a secret and a rate limit.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startInstallation } from "../fixtures/installation.ts";
import { startAgent } from "../fixtures/wrangler.ts";

const WORKER = `export default { async fetch(_, env) {
  return Response.json([await env.KEY.get(), (await env.LIMIT.limit({ key: "k" })).success]);
} };`;

test("wrangler keeps secrets in a store, and a Worker that it deploys reads one", { timeout: 180_000 }, async () => {
  await using installation = await startInstallation();
  await using agent = await startAgent(installation.api);
  agent.write("index.js", WORKER);
  agent.write("wrangler.json", JSON.stringify({ name: "w", main: "index.js", compatibility_date: "2026-06-01" }));
  const first = await agent.wrangler(["deploy", "--temporary"]);
  assert.equal(first.code, 0, first.output);
  const { id, apiToken } = agent.account();
  const env = { CLOUDFLARE_ACCOUNT_ID: id, CLOUDFLARE_API_TOKEN: apiToken };
  const run = async (...args: string[]): Promise<string> => {
    const { code, output } = await agent.wrangler([...args], { env });
    assert.equal(code, 0, output);
    return output;
  };
  const secretsStore = (what: string, ...args: string[]) => run("secrets-store", ...what.split(" "), ...args, "--remote");
  const idIn = (output: string): string => [...output.matchAll(/ID: ([0-9a-f]{32})/g)].at(-1)?.[1] ?? assert.fail(output);
  const store = idIn(await secretsStore("store create", "keys"));
  assert.match(await secretsStore("store list"), new RegExp(store));
  const secret = idIn(await secretsStore("secret create", store, "--name", "API_KEY", "--value", "the text", "--scopes", "workers"));
  assert.match(await secretsStore("secret list", store), /API_KEY/);
  assert.match(await secretsStore("secret get", store, "--secret-id", secret), /API_KEY/);
  await secretsStore("secret update", store, "--secret-id", secret, "--value", "the new text");
  const copy = idIn(await secretsStore("secret duplicate", store, "--secret-id", secret, "--name", "COPY", "--scopes", "workers"));
  await secretsStore("secret delete", store, "--secret-id", copy);

  const bindings = {
    secrets_store_secrets: [{ binding: "KEY", store_id: store, secret_name: "API_KEY" }],
    ratelimits: [{ name: "LIMIT", namespace_id: "1001", simple: { limit: 5, period: 10 } }],
  };
  agent.write("wrangler.json", JSON.stringify({ name: "w", main: "index.js", compatibility_date: "2026-06-01", ...bindings }));
  const deployed = await run("deploy");
  const host = /(w--[a-z0-9-]+\.mayfly\.localhost)/.exec(deployed)?.[1] ?? assert.fail(deployed);
  assert.equal((await installation.edge(host)).body, '["the new text",true]');
  await secretsStore("store delete", store);
});
