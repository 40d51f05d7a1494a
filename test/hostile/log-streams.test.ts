// Readers of an account's log who break off at any moment: control goes on, and no place stays taken.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { awaitUntil } from "../fixtures/await-until.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { tenantAt, type Tenant } from "../fixtures/tenant.ts";

const RESETS = 100;
/** Later than this the answer's head has long been there. */
const LATEST_MS = 12;

/** Asks for the stream and resets the connection so many milliseconds later. */
async function askAndReset({ apiPort }: Installation, tenant: Tenant, method: string, afterMs: number): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port: apiPort });
  socket.on("error", () => undefined);
  await new Promise((resolve) => void socket.once("connect", resolve).once("close", resolve));
  const head = [`${method} /client/v4/accounts/${tenant.id}/logs?follow=true HTTP/1.1`, `host: localhost:${apiPort}`];
  socket.write([...head, `authorization: Bearer ${tenant.token}`, "", ""].join("\r\n"));
  await sleep(afterMs);
  socket.resetAndDestroy();
}

test("control outlives readers of a log that reset at any moment, and every place is free again", async () => {
  await using installation = await startInstallation();
  const tenant = await tenantAt(installation);
  await tenant.deploy("w", "export default { fetch() { return new Response('hi') } };");
  const pid = installation.pidOf("control");
  for (let n = 0; n < RESETS; n++) await askAndReset(installation, tenant, n % 10 === 9 ? "HEAD" : "GET", (n * LATEST_MS) / RESETS);
  await sleep(500);
  assert.equal(installation.pidOf("control"), pid, installation.output());
  assert.doesNotMatch(installation.output(), /already closed|uncaught/i);
  const [following, authorization] = [`${installation.api}/accounts/${tenant.id}/logs?follow=true`, `Bearer ${tenant.token}`];
  await awaitUntil(
    async () => {
      const asked = new AbortController();
      const answer = await fetch(following, { headers: { authorization }, signal: asked.signal });
      asked.abort();
      return answer.status === 200;
    },
    { what: "a place is free" },
  );
});
