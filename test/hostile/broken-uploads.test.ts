// Uploads of every kind that break off in the middle, well-formed and not: control is the same process afterwards.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { tenantAt, type Tenant } from "../fixtures/tenant.ts";

const part = (name: string): string => `--b\r\nContent-Disposition: form-data; name="${name}"; filename="f"\r\n\r\nhalf`;
const FORMS: Readonly<Record<string, readonly [type: string, body: string]>> = {
  bytes: ["application/octet-stream", "half"],
  "a form in its value": ["multipart/form-data; boundary=b", part("value")],
  "a form in its metadata": ["multipart/form-data; boundary=b", part("metadata")],
  "a form in a part that is not taken": ["multipart/form-data; boundary=b", part("other")],
  "a form in a part's head": ["multipart/form-data; boundary=b", "--b\r\nContent-Disp"],
  "a form without a boundary": ["multipart/form-data", part("value")],
  "a form whose boundary is empty": ["multipart/form-data; boundary=", part("value")],
  JSON: ["application/json", '{"half":'],
};

describe("an upload that breaks off", () => {
  let installation: Installation;
  let tenant: Tenant;
  let paths: readonly (readonly [method: string, path: string])[];
  let control: number | undefined;

  before(async () => {
    installation = await startInstallation({ MAYFLY_LOG_LEVEL: "warn" });
    tenant = await tenantAt(installation);
    await tenant.deploy("app", "export default { fetch: () => new Response() };");
    const account = `/client/v4/accounts/${tenant.id}`;
    const made = await tenant.call<{ id: string }>("POST", `/accounts/${tenant.id}/storage/kv/namespaces`, '{"title":"n"}');
    const database = await tenant.call<{ uuid: string }>("POST", `/accounts/${tenant.id}/d1/database`, '{"name":"d"}');
    const init = await tenant.call<{ upload_url: string }>(
      "POST",
      `/accounts/${tenant.id}/d1/database/${database.result.uuid}/import`,
      `{"action":"init","etag":"${"0".repeat(32)}"}`,
    );
    const value = `${account}/storage/kv/namespaces/${made.result.id}/values/k`;
    paths = [
      ["PUT", value],
      ["PUT", value.replace(made.result.id, "0".repeat(32))],
      ["PUT", value.replace(tenant.id, "0".repeat(32))],
      ["PUT", new URL(init.result.upload_url).pathname + new URL(init.result.upload_url).search],
      ["PUT", `${account}/workers/scripts/app`],
      ["POST", `${account}/workers/assets/upload?base64=true`],
      ["POST", `${account}/d1/database/${database.result.uuid}/query`],
      ["POST", "/client/v4/provisioning/previews"],
      ["POST", "/sign-in"],
      ["POST", "/report"],
    ];
    control = installation.pidOf("control");
  });
  after(() => installation[Symbol.asyncDispose]());

  async function breakOff(method: string, path: string, type: string, body: string, afterMs: number | null): Promise<void> {
    const socket = connect(installation.apiPort, "127.0.0.1");
    socket.on("error", () => undefined);
    await once(socket, "connect");
    const head = `host: localhost:${installation.apiPort}\r\nauthorization: Bearer ${tenant.token}\r\norigin: ${installation.origin}`;
    socket.write(
      `${method} ${path} HTTP/1.1\r\n${head}\r\ncontent-type: ${type}\r\ncontent-length: ${afterMs === null ? body.length : 100_000}\r\n\r\n${body}`,
    );
    if (afterMs === null) await once(socket, "data");
    else await sleep(afterMs);
    socket.resetAndDestroy();
    await once(socket, "close");
  }

  for (const [name, [type, body]] of Object.entries(FORMS)) {
    test(`${name}, ends no process`, async () => {
      // Early and in the middle of the body; or, with a whole body, as soon as there is an answer.
      for (const afterMs of [0, 5, 150, null, null, null]) {
        await Promise.all(paths.map(([method, path]) => breakOff(method, path, type, body, afterMs)));
      }
      await sleep(100);
      assert.equal(installation.pidOf("control"), control, installation.output().slice(-2000));
      assert.equal((await tenant.call("GET", `/accounts/${tenant.id}`)).status, 200);
    });
  }
});
