// Versions, splits, previews and rollbacks as the unmodified wrangler drives them, and what it prints of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startInstallation } from "../fixtures/installation.ts";
import { startAgent, type Agent } from "../fixtures/wrangler.ts";

const UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const worker = (says: string): string => `export default { fetch: () => new Response(${JSON.stringify(says)}) };`;

/** Runs a command that must succeed. @returns what it printed */
async function run(agent: Agent, args: readonly string[], stdin?: string): Promise<string> {
  const { code, output } = await agent.wrangler([...args, "--temporary"], stdin === undefined ? {} : { stdin });
  assert.equal(code, 0, `${args.join(" ")}: ${output}`);
  return output;
}

async function deployed(agent: Agent): Promise<string> {
  agent.write("wrangler.jsonc", JSON.stringify({ name: "app", main: "index.js", compatibility_date: "2026-06-01" }));
  agent.write("index.js", worker("one"));
  return new RegExp(`Current Version ID: (${UUID})`).exec(await run(agent, ["deploy"]))?.[1] ?? "";
}

test("a gradual deployment by wrangler: split, seen, kept from a secret, finished, rolled back", async () => {
  await using installation = await startInstallation();
  await using agent = await startAgent(installation.api);
  const one = await deployed(agent);
  const host = agent.target();
  agent.write("index.js", worker("two"));
  const uploaded = await run(agent, ["versions", "upload", "--tag", "t2", "--message", "the second"]);
  const two = new RegExp(`Worker Version ID: (${UUID})`).exec(uploaded)?.[1] ?? "";
  // Wrangler takes https for granted, which is not spoken here.
  assert.doesNotMatch(uploaded, /Preview URL/);
  assert.equal((await installation.edge(host)).body, "one");

  assert.match(
    await run(agent, ["versions", "deploy", `${one}@33.4%`, `${two}@66.6%`, "-y", "--message", "split"]),
    new RegExp(`Deployed app version ${one} at 33.4% and version ${two} at 66.6%`),
  );
  const status = await run(agent, ["deployments", "status"]);
  assert.match(status, new RegExp(`\\(66.6%\\) ${two}[^]*Tag: +t2[^]*Message: +the second[^]*\\(33.4%\\) ${one}`));
  for (const [id, text] of [
    [one, "one"],
    [two, "two"],
  ] as const) {
    const named = { "Cloudflare-Workers-Version-Overrides": `app="${id}"` };
    assert.equal((await installation.edge(host, "/", named)).body, text);
  }
  const secret = await agent.wrangler(["secret", "put", "S", "--temporary"], { stdin: "x" });
  assert.notEqual(secret.code, 0);
  assert.match(secret.output, /latest version of your Worker isn't currently deployed[^]*versions secret put/);

  assert.match(await run(agent, ["versions", "deploy", `${two}@100%`, "-y"]), /SUCCESS/);
  assert.equal((await installation.edge(host)).body, "two");
  assert.match(await run(agent, ["secret", "put", "S"], "x"), /Success! Uploaded secret S/);
  // It warns of the secret and goes on, as nobody is there to ask.
  assert.match(await run(agent, ["rollback", one, "-y", "--message", "back"]), new RegExp(`${one} has been deployed to 100%`));
  assert.equal((await installation.edge(host)).body, "one");
});

test("previews are printed by wrangler where the edge has TLS, and answer where it says", async () => {
  await using installation = await startInstallation({ MAYFLY_EDGE_URL: "https://apps.example", MAYFLY_EDGE_DOMAIN: "apps.example" });
  await using agent = await startAgent(installation.api);
  await deployed(agent);
  agent.write("index.js", worker("two"));
  const uploaded = await run(agent, ["versions", "upload", "--preview-alias", "pr-7"]);
  const printed = [...uploaded.matchAll(/Version Preview (?:Alias )?URL: https:\/\/(\S+)/g)].map(([, host]) => host ?? "");
  assert.equal(printed.length, 2, uploaded);
  assert.match(printed[1] ?? "", /^pr-7--app--[a-z0-9-]+\.apps\.example$/);
  for (const host of printed) assert.equal((await installation.edge(host)).body, "two");
  assert.equal((await installation.edge(agent.target())).body, "one");
  const refused = await agent.wrangler(["versions", "upload", "--preview-alias", "a--b", "--temporary"]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.output, /workers\/alias[^]*holds "--"[^]*Choose another alias[^]*code: 10021/);
});
