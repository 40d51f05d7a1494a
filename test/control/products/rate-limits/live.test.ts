// Rate limits and secrets as Workers use them, with the real process.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openHouse, uploadBody } from "../../../fixtures/house.ts";
import { openBench } from "../../../fixtures/databases.ts";
import { deploy, openShop } from "../../../fixtures/products.ts";
import { temporaryDirectory } from "../../../fixtures/temporary-directory.ts";

const LIMITED = `export default { async fetch(request, env) {
  const key = new URL(request.url).searchParams.get("key");
  try {
    const outcomes = [];
    for (let n = 0; n < 5; n++) outcomes.push((await env.LIMIT.limit(key === null ? undefined : { key })).success);
    return Response.json(outcomes);
  } catch (error) { return new Response(String(error)); }
} };`;
const SECRET = `export default { async fetch(_, env) {
  try { return new Response(await env.KEY.get()); } catch (error) { return new Response(String(error)); }
} };`;

describe("With the real process", () => {
  test("Workers that bind one rate limit share its counts, by key; a secret is read by get() until it is gone", async () => {
    await using directory = await temporaryDirectory("limits");
    await using house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    const { account } = await house.provision();
    const subdomain = account.name.split(" ")[0] ?? "";
    const call = async (method: string, path: string, body?: string | FormData) => {
      const answer = await house.call<never>(method, `/accounts/${account.id}/${path}`, {
        token: account.apiToken,
        ...(body !== undefined && { body }),
      });
      assert.equal(answer.status, 200, answer.errors[0]?.message);
      return answer.result as { id: string } & { id: string }[];
    };
    const put = async (name: string, code: string, binding: Record<string, unknown>): Promise<void> => {
      await call("PUT", `workers/scripts/${name}`, uploadBody(code, { bindings: [binding] }));
      await call("POST", `workers/scripts/${name}/subdomain`, '{"enabled":true}');
    };
    const visit = async (name: string, path = "/"): Promise<string> => (await house.edge(`${name}--${subdomain}`, path)).body;

    const limit = (namespace: string, most: number) => ({
      type: "ratelimit",
      name: "LIMIT",
      namespace_id: namespace,
      simple: { limit: most, period: 60 },
    });
    await put("one", LIMITED, limit("1001", 3));
    await put("same", LIMITED, limit("1001", 4));
    await put("other", LIMITED, limit("1002", 3));
    // A window ends at a full minute: what straddles one is seen again in the next.
    const counted = async (): Promise<void> => {
      const key = `k${Math.random()}`;
      const minute = Math.floor(Date.now() / 60_000);
      const seen = [await visit("one", `/?key=${key}`), await visit("same", `/?key=${key}`), await visit("other", `/?key=${key}`)];
      if (Math.floor(Date.now() / 60_000) !== minute) return counted();
      assert.deepEqual(seen, ["[true,true,true,false,false]", "[true,false,false,false,false]", "[true,true,true,false,false]"]);
    };
    await counted();
    assert.equal(await visit("one", `/?key=${"long".repeat(400)}`), "[true,true,true,false,false]");
    assert.match(await visit("one"), /TypeError: limit\(\) takes an object with a key/);

    const store = (await call("POST", "secrets_store/stores", '{"name":"keys"}')).id;
    const secrets = `secrets_store/stores/${store}/secrets`;
    const [made] = await call("POST", secrets, JSON.stringify([{ name: "API_KEY", value: "the text ü", scopes: ["workers"] }]));
    await put("secret", SECRET, { type: "secrets_store_secret", name: "KEY", store_id: store, secret_name: "API_KEY" });
    assert.equal(await visit("secret"), "the text ü");
    await call("PATCH", `${secrets}/${made?.id}`, '{"value":"another"}');
    assert.equal(await visit("secret"), "another");
    await call("DELETE", `${secrets}/${made?.id}`);
    assert.equal(await visit("secret"), 'Error: Secret "API_KEY" not found');
  });

  test("a rate limit that cannot be is refused at the upload, by the field", async () => {
    await using bench = await openBench(null);
    const client = await openShop(bench).client();
    const cases: readonly [fields: Record<string, unknown>, message: RegExp][] = [
      [{ simple: { limit: 1, period: 10 } }, /namespace_id/],
      [{ namespace_id: "x", simple: { limit: 1, period: 10 } }, /namespace_id/],
      [{ namespace_id: "1" }, /simple/],
      [{ namespace_id: "1", simple: { limit: 0, period: 10 } }, /limit/],
      [{ namespace_id: "1", simple: { limit: 1, period: 30 } }, /period/],
    ];
    for (const [fields, message] of cases) {
      const answer = await deploy(client, "w", { bindings: [{ type: "ratelimit", name: "LIMIT", ...fields }] });
      assert.deepEqual([answer.status, answer.code], [400, "invalid_upload"], answer.message);
      assert.match(answer.message, message);
    }
    const fine = await deploy(client, "w", {
      bindings: [{ type: "ratelimit", name: "LIMIT", namespace_id: 7, simple: { limit: 1, period: 10 } }],
    });
    assert.equal(fine.status, 200, fine.message);
  });
});
