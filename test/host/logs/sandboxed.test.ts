// Logs through the whole house: the machine's own sandbox, both wings, an account from its first request to its end.
import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { openHouse, uploadBody } from "../../fixtures/house.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

test("what Workers log in the sandbox of this machine is their account's, and ends with it", async () => {
  await using directory = await temporaryDirectory("logs");
  await using house = await openHouse({ directory: directory.path });
  const { capsuleHost } = house.host;
  const deployed = [];
  for (const word of ["alpha", "beta"]) {
    const { account } = await house.provision();
    const code = `export default { fetch(request) { console.log("${word}"); if (request.url.endsWith("/throw")) throw new Error("${word}"); return new Response("ok") } };`;
    const put = await house.call("PUT", `/accounts/${account.id}/workers/scripts/${word}`, {
      token: account.apiToken,
      body: uploadBody(code),
    });
    assert.equal(put.status, 200, JSON.stringify(put.errors));
    const path = `/accounts/${account.id}/workers/scripts/${word}/subdomain`;
    const shown = await house.call("POST", path, { token: account.apiToken, body: JSON.stringify({ enabled: true }) });
    assert.equal(shown.status, 200, JSON.stringify(shown.errors));
    const { result } = await house.call<{ subdomain: string }>("GET", `/accounts/${account.id}/workers/subdomain`, {
      token: account.apiToken,
    });
    deployed.push({ account: account.id as AccountId, token: account.apiToken, word, label: `${word}--${result.subdomain}` });
  }
  for (const { label } of deployed) {
    assert.equal((await house.edge(label)).status, 200);
    assert.equal((await house.edge(label, "/throw")).status, 500);
  }
  for (const { account, word } of deployed) {
    const { records } = await capsuleHost.logs({ account, limit: 100 });
    assert.deepEqual(records.map((record) => record.kind).toSorted(), ["console", "console", "exception", "request", "request"]);
    assert.ok(records.every((record) => record.worker === word && record.version !== null));
    assert.equal(JSON.stringify(records).includes(word === "alpha" ? "beta" : "alpha"), false);
    const path = join(directory.path, "data", "accounts", account, "logs");
    assert.deepEqual([statSync(path).mode & 0o777, statSync(join(path, "00000001.ndjson")).mode & 0o777], [0o700, 0o600]);
  }
  const [first] = deployed;
  assert.ok(first);
  const ended = await house.call("DELETE", `/accounts/${first.account}`, { token: first.token });
  assert.equal(ended.status, 200, JSON.stringify(ended.errors));
  assert.equal(existsSync(join(directory.path, "data", "accounts", first.account)), false);
  await assert.rejects(capsuleHost.logs({ account: first.account, limit: 1 }), { code: "account_gone" });
});
