// A Worker that floods its log: what is kept ends at the cap and begins again. What it costs meanwhile is told, not judged.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { CAP_WINDOW_MS, NO_CAPS } from "../../../src/capsule/caps.ts";
import type { LogPage } from "../../../src/capsule/logs.ts";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { openHouse, uploadBody } from "../../fixtures/house.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const FLOOD = `export default { async fetch(request) {
  if (new URL(request.url).pathname === "/flood") for (let i = 0; i < 100; i++) console.log("x".repeat(600));
  else console.log("one line");
  return new Response("served");
} };`;

test("a log that is flooded breaks off at its cap with one notice, and goes on after the window", async (t) => {
  await using directory = await temporaryDirectory("log-cap");
  const cap = 6_000_000;
  await using house = await openHouse({ directory: directory.path, ttlSeconds: 3_600, limits: { caps: { ...NO_CAPS, log_bytes: cap } } });
  const { account } = await house.provision();
  const [id, token] = [account.id as AccountId, account.apiToken];
  const path = `/accounts/${id}/workers/scripts/w`;
  assert.equal((await house.call("PUT", path, { token, body: uploadBody(FLOOD) })).status, 200);
  await house.call("POST", `${path}/subdomain`, { token, body: '{"enabled":true}' });
  const told = await house.call<{ subdomain: string }>("GET", `/accounts/${id}/workers/subdomain`, { token });
  const label = `w--${told.result.subdomain.split(".")[0] ?? ""}`;
  const page = (): Promise<LogPage> => house.host.capsuleHost.logs({ account: id, limit: 1_000 });
  const notices = async (): Promise<string[]> =>
    (await house.host.capsuleHost.logs({ account: id, kind: "notice", limit: 100 })).records.flatMap((record) =>
      record.kind === "notice" ? [record.text] : [],
    );
  const followed: string[] = [];
  const following = await house.host.capsuleHost.follow({ account: id });
  createInterface({ input: following }).on("line", (line) => followed.push(line));
  const tailed: string[] = [];
  createInterface({ input: await house.host.capsuleHost.tail({ account: id, worker: "w" }) }).on("line", (line) => tailed.push(line));

  const over = new AbortController();
  const asking = async (): Promise<number> => {
    let asked = 0;
    for (; !over.signal.aborted; asked++) await house.edge(label, "/flood");
    return asked;
  };
  const flood = Promise.all([asking(), asking(), asking()]);
  // What fails meanwhile closes the house under it, and is what is to be told.
  flood.catch(() => undefined);
  /** CPU of this process for a request of the flood, in milliseconds. */
  const cost = async (): Promise<number> => {
    const requests = async (): Promise<number> =>
      (await house.host.capsuleHost.metrics({ account: id, sinceMs: 0, untilMs: house.clock.now() + 1 })).reduce(
        (sum, row) => sum + row.requests,
        0,
      );
    const [before, cpu] = [await requests(), process.cpuUsage()];
    await sleep(800);
    const used = process.cpuUsage(cpu);
    return (used.user + used.system) / 1_000 / Math.max(1, (await requests()) - before);
  };
  const openMs = await cost();
  await awaitUntil(async () => (await notices()).length > 0, { what: "the log breaks off", deadlineMs: 60_000 });
  // Until the last call of before the cap has come back.
  await sleep(1_500);
  const silentMs = await cost();
  const droppedThen = (await page()).dropped?.records ?? 0;
  await awaitUntil(async () => ((await page()).dropped?.records ?? 0) > droppedThen, { what: "what is left out is counted" });
  t.diagnostic(`CPU of host a request: ${openMs.toFixed(2)} ms before the cap, ${silentMs.toFixed(2)} ms after it`);
  over.abort();
  await flood;

  const [text, ...others] = await notices();
  assert.deepEqual(others, []);
  assert.match(text ?? "", /used its 6 MiB of log in 10 minutes\. Nothing more is written to it, nor sent to whoever follows it, until 20/);
  assert.equal(followed.filter((line) => line.includes('"kind":"notice"')).length, 1);
  assert.ok(tailed.some((line) => line.includes("Nothing more is written to it")));
  const kept = (await house.host.capsuleHost.usage(id)).caps.find((one) => one.cap === "log_bytes");
  assert.ok((kept?.used ?? 0) > cap * 0.9 && (kept?.used ?? 0) <= cap && (kept?.refused ?? 0) > 0);
  const seen = [followed.length, tailed.length];
  assert.equal((await house.edge(label)).body, "served", "requests are served all the while");
  await sleep(1_500);
  assert.deepEqual([followed.length, tailed.length], seen);

  house.clock.advance(CAP_WINDOW_MS);
  await awaitUntil(
    async () => {
      await house.edge(label);
      return followed.some((line) => line.includes("one line")) && tailed.some((line) => line.includes("one line"));
    },
    { what: "the log goes on", everyMs: 250 },
  );
  assert.ok(
    followed.some((line) => line.includes('"kind":"missed"')),
    "followers hear how much they missed",
  );
  assert.ok((await page()).records.some((record) => record.kind === "console" && record.text === "one line"));
});
