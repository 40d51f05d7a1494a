import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { awaitUntil } from "../fixtures/await-until.ts";
import { startInstallation } from "../fixtures/installation.ts";
import { leftovers } from "../fixtures/leftovers.ts";
import { filesHolding } from "../fixtures/planted.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { startAgent, type Agent } from "../fixtures/wrangler.ts";

const CRASHER = fileURLToPath(new URL("crash-in-ending.ts", import.meta.url));
const LIFE_SECONDS = 12;
const PLANTED = "planted-9f31c7a2e4";

/** Deploys a Worker that holds the planted string in code, assets, a secret, a variable and what it prints. */
async function deployPlanted(agent: Agent): Promise<void> {
  agent.write(
    "index.js",
    `export default { fetch(request, env) { console.log("${PLANTED}", env.S); return env.ASSETS.fetch(request); } };`,
  );
  agent.write("public/page.txt", `asset ${PLANTED}`);
  agent.write(
    "wrangler.jsonc",
    JSON.stringify({
      name: "planted",
      main: "index.js",
      compatibility_date: "2026-06-01",
      vars: { V: PLANTED },
      assets: { directory: "public", binding: "ASSETS", run_worker_first: true },
    }),
  );
  const deployed = await agent.wrangler(["deploy", "--temporary"]);
  assert.equal(deployed.code, 0, deployed.output);
  const put = await agent.wrangler(["secret", "put", "S", "--temporary"], { stdin: PLANTED });
  assert.equal(put.code, 0, put.output);
}

const settingsFor = (data: string): Record<string, string> => ({
  MAYFLY_DATA: data,
  MAYFLY_ACCOUNT_TTL_SECONDS: String(LIFE_SECONDS),
});

const STEPS = [
  "before the process is killed",
  "before the key is destroyed",
  "before the directory is erased",
  "before the rows are deleted",
  "after the last step",
];

describe("an ending whose two processes die is carried through after the restart", { concurrency: STEPS.length }, () => {
  for (const step of STEPS) {
    test(step, async () => {
      await using directory = await temporaryDirectory("fault");
      const data = join(directory.path, "data");
      const created = Date.now();
      let account = "";
      let host = "";
      {
        await using installation = await startInstallation(settingsFor(data));
        await using agent = await startAgent(installation.api);
        await deployPlanted(agent);
        account = agent.account().id;
        host = agent.target();
        assert.match((await installation.edge(host, "/page.txt")).body, /planted/);
      }
      assert.notDeepEqual(filesHolding(data, PLANTED), [], "the string is there before the end");
      await sleep(Math.max(0, created + LIFE_SECONDS * 1000 + 4000 - Date.now()));

      const crasher = spawn(process.execPath, [CRASHER, step], {
        env: { PATH: process.env["PATH"], ...settingsFor(data), MAYFLY_EDGE_PORT: "0" },
        stdio: "inherit",
      });
      const signal = await new Promise((resolve) => void crasher.once("exit", (_code, how) => resolve(how)));
      assert.equal(signal, "SIGKILL");

      await using installation = await startInstallation(settingsFor(data));
      await awaitUntil(() => leftovers(data, account).length === 0, {
        what: "nothing but tombstone and trail is left",
        deadlineMs: 5000,
      }).catch(() => undefined);
      assert.deepEqual(leftovers(data, account), []);
      assert.deepEqual(filesHolding(data, PLANTED), []);
      assert.deepEqual(readdirSync(join(data, "accounts")), []);
      assert.equal((await installation.edge(host)).status, 410);
    });
  }
});
