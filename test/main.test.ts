import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startInstallation } from "./fixtures/installation.ts";
import { tenantAt } from "./fixtures/tenant.ts";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));

async function start(settings: Record<string, string>): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, [MAIN], { env: { PATH: process.env["PATH"], ...settings }, stdio: ["ignore", "ignore", "pipe"] });
  const said = text(child.stderr);
  const code = await new Promise<number | null>((resolve) => void child.once("exit", resolve));
  return { code, said: await said };
}

test("a start that cannot be says why in words, without a stack", async () => {
  await using installation = await startInstallation();
  const taken = await start({
    MAYFLY_PORT: String(installation.apiPort),
    MAYFLY_EDGE_PORT: "0",
    MAYFLY_DATA: `${installation.data}-other`,
  });
  assert.equal(taken.code, 1);
  assert.match(taken.said, new RegExp(`Mayfly cannot start: port ${installation.apiPort} is taken`));
  const again = await start({ MAYFLY_DATA: installation.data, MAYFLY_PORT: "0", MAYFLY_EDGE_PORT: "0" });
  assert.equal(again.code, 1);
  assert.match(again.said, /Mayfly runs already with this data directory/);
  const wrong = await start({ MAYFLY_EDGE_PORT: "many" });
  assert.match(wrong.said, /^Mayfly cannot start: MAYFLY_EDGE_PORT must be a whole number/);
  for (const { said } of [taken, again, wrong]) assert.doesNotMatch(said, /^\s+at /m);
  assert.equal((await fetch(`http://127.0.0.1:${installation.apiPort}/healthz`)).status, 200, "the first one goes on");
});

test(
  "a stop leaves no process, no mount and no socket",
  { skip: process.getuid?.() !== 0 && "needs root: the run directory of an ordinary user is elsewhere" },
  async () => {
    let run = "";
    let capsules: number[] = [];
    {
      await using installation = await startInstallation();
      run = `/run/mayfly-${createHash("sha256").update(installation.data).digest("hex").slice(0, 8)}`;
      const tenant = await tenantAt(installation);
      await tenant.deploy("w", "export default { fetch: () => new Response('here') }");
      assert.equal((await installation.edge(tenant.host("w"))).body, "here");
      assert.ok(existsSync(run));
      capsules = installation.capsules();
      assert.equal(capsules.length, 1);
    }
    assert.equal(existsSync(run), false);
    assert.ok(!readFileSync("/proc/self/mounts", "utf8").includes(run));
    for (const pid of capsules) assert.equal(existsSync(`/proc/${pid}`), false);
  },
);
