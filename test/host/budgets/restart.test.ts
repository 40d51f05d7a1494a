// A host that is killed gives nobody a new allowance.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { startInstallation } from "../../fixtures/installation.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { tenantAt } from "../../fixtures/tenant.ts";

test("what an account has used is still used after its host was killed", async () => {
  await using directory = await temporaryDirectory("caps-restart");
  const data = join(directory.path, "data");
  await using installation = await startInstallation({ MAYFLY_DATA: data, MAYFLY_CAP_REQUESTS: "40" });
  const tenant = await tenantAt(installation);
  await tenant.deploy("w", "export default { fetch: () => new Response('served') };");
  const ask = async () => (await installation.edge(tenant.host("w"))).status;
  await awaitUntil(async () => (await ask()) === 429, { what: "the cap is reached" });
  const kept = () => readFileSync(join(data, "accounts", tenant.id, "caps.json"), "utf8");
  await awaitUntil(() => kept().includes('"requests","endsAtMs"') && kept().includes('"used":40'), { what: "it is written down" });
  await installation.killWings("host");
  assert.equal(await awaitUntil(async () => [200, 429].includes(await ask()) && ask(), { what: "the edge answers" }), 429);
});
