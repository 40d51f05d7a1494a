// The corpus of attacks, on every rung of the sandbox ladder that this machine has: one installation a rung, one account that
// attacks, two that are attacked. Every attack comes to what it must, nothing of the victims is read or written, and nothing falls.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { after, before, describe, test } from "node:test";
import type { Rung } from "../../src/host/contract.ts";
import { bubblewrapMissing } from "../../src/host/capsules/sandbox/bubblewrap.ts";
import { findProgram } from "../../src/host/capsules/sandbox/plain.ts";
import { awaitUntil } from "../fixtures/await-until.ts";
import { FormBrowser } from "../fixtures/form-browser.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { apiCallers } from "./corpus/api-callers.ts";
import { makeAttacker, type Attacker } from "./corpus/attacker.ts";
import { byApi, byCode, byEdge, byPages, byWear } from "./corpus/carry-out.ts";
import { claimants } from "./corpus/claimants.ts";
import { edgeClients } from "./corpus/edge-clients.ts";
import { machineCode } from "./corpus/machine-code.ts";
import { runtimeCode } from "./corpus/runtime-code.ts";
import { tenantCode } from "./corpus/tenant-code.ts";
import { uploaders } from "./corpus/uploaders.ts";
import { CANARIES, makeVictims, type Victims } from "./corpus/victims.ts";
import { wearers } from "./corpus/wearers.ts";

const MASTER_KEY = "5eed".repeat(16);
const PLATFORM_CANARY = "platforms-own-77c2d0";
/** An ordinary user's id, nobody else's. */
const ORDINARY_UID = 322_000;
/** Spare connections and what is just being closed. */
const SPARE_DESCRIPTORS = 40;
const IS_ROOT = process.getuid?.() === 0;

const ownAddresses = (): string[] => [
  hostname(),
  ...Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith("fe80"))
    .map(({ family, address }) => (family === "IPv6" ? `[${address}]` : address)),
];

/** What must never be in any answer, whatever was tried. */
const NEVER = new RegExp([CANARIES.source, MASTER_KEY, PLATFORM_CANARY, "root:x:0:0", "MAYFLY_", '"database":', "connected: "].join("|"));

function reasonAgainst(rung: Rung): string | null {
  if (process.platform !== "linux") return rung === "none" ? null : "needs Linux";
  if (!IS_ROOT && rung !== "bubblewrap-user" && rung !== "none") return "needs root";
  return rung.startsWith("bubblewrap") ? bubblewrapMissing(findProgram("bwrap")) : null;
}

const code = [...machineCode(ownAddresses()), ...tenantCode, ...runtimeCode];
const callers = [...apiCallers, ...uploaders];
const count = code.length + callers.length + edgeClients.length + claimants.length + wearers.length;
const RUNGS: readonly Rung[] = ["bubblewrap-root", "bubblewrap-user", "root", "none"];
const HERE = RUNGS.filter((rung) => reasonAgainst(rung) === null);

const descriptors = (pid: number | undefined): number => readdirSync(`/proc/${pid}/fd`).length;

for (const rung of RUNGS) {
  const skip = reasonAgainst(rung) ?? false;
  describe(`${rung}: an attacker`, { skip }, () => {
    let installation: Installation;
    let victims: Victims;
    let attacker: Attacker;
    let person: FormBrowser;
    let start: { state: readonly string[]; pids: (number | undefined)[]; descriptors: number[]; capsules: number };

    const wings = () => (["control", "host"] as const).map((wing) => installation.pidOf(wing));

    before(async () => {
      const uid = rung === "bubblewrap-user" && IS_ROOT ? ORDINARY_UID : undefined;
      installation = await startInstallation({ MAYFLY_MASTER_KEY: MASTER_KEY, PLATFORM_CANARY, MAYFLY_SANDBOX: rung }, uid);
      const pids = wings();
      victims = await makeVictims(installation);
      start = { state: [], pids, descriptors: pids.map(descriptors), capsules: installation.capsules().length };
      attacker = await makeAttacker(installation, victims, code, uid ?? process.getuid?.() ?? 0);
      person = new FormBrowser({ url: new URL(installation.origin) });
      const signedUp = await person.send("/sign-up", {
        form: { name: "Eve", email: "eve@example.com", password: "correct horse battery" },
      });
      assert.equal(signedUp.status, 303, signedUp.text);
      start = { ...start, state: await victims.state() };
    });
    after(() => installation?.[Symbol.asyncDispose]());

    const carried = <A extends { readonly once?: true }>(list: readonly A[]): readonly A[] =>
      list.filter(({ once }) => once !== true || rung === HERE[0]);

    const judge = (told: string, { must, never }: { must: RegExp; never?: RegExp }): void => {
      assert.doesNotMatch(told, NEVER);
      if (never) assert.doesNotMatch(told, never);
      assert.match(told.slice(0, 4000), new RegExp(must.source.replaceAll("{{SELF}}", attacker.names["SELF"] ?? ""), "s"));
    };

    describe("whose Worker runs code gets nowhere with", { concurrency: 6 }, () => {
      for (const [index, attack] of code.entries())
        test(attack.tries, async () => judge(await byCode(installation, attacker, attack, index), attack));
    });
    describe("who calls the API gets nowhere with", { concurrency: 3 }, () => {
      for (const attack of carried(callers)) {
        test(attack.tries.slice(0, 200), async () => {
          const told = await byApi(installation, attacker, attack);
          assert.doesNotMatch(told, /^5\d\d /);
          judge(told, attack);
        });
      }
    });
    describe("who asks the edge gets nowhere with", { concurrency: 6 }, () => {
      for (const attack of carried(edgeClients))
        test(attack.tries.slice(0, 200), async () => judge(await byEdge(installation, attacker, attack), attack));
    });
    describe("who visits the pages gets nowhere with", () => {
      for (const attack of carried(claimants)) {
        test(attack.tries.slice(0, 200), async () => {
          const told = await byPages(installation, attacker, attack, person);
          assert.doesNotMatch(told, /^5\d\d /);
          judge(told, attack);
        });
      }
    });
    describe("who wears a machine out fells no other with", { concurrency: 3 }, () => {
      for (const attack of carried(wearers)) test(attack.tries, async () => judge(await byWear(installation, attack), attack));
    });

    test("has read nothing of the victims' into its own log and trail", async () => {
      for (const path of ["/logs?limit=1000", "/trail?per_page=100"]) {
        const told = await attacker.tenant.call("GET", `/accounts/${attacker.tenant.id}${path}`);
        assert.equal(told.status, 200, told.message);
        assert.doesNotMatch(JSON.stringify(told.result), NEVER, path);
      }
    });

    test("has changed nothing of the victims': their data, rows and files are the same", async () => {
      const state = await victims.state();
      const lines = (all: readonly string[], without: readonly string[]) => all.filter((line) => !without.includes(line));
      assert.deepEqual({ new: lines(state, start.state), gone: lines(start.state, state) }, { new: [], gone: [] });
    });

    test("leaves an installation that is well: no wing fell, nothing was a fault of control's, no canary was printed", async () => {
      assert.deepEqual(wings(), start.pids);
      assert.equal((await fetch(`http://127.0.0.1:${installation.apiPort}/healthz`)).status, 200);
      const printed = installation.output();
      assert.doesNotMatch(printed, CANARIES);
      assert.doesNotMatch(printed, new RegExp(MASTER_KEY));
      assert.deepEqual(printed.match(/^.*"level":[56]0.*$/gm)?.filter((line) => line.includes('"name":"control"')) ?? [], []);
    });

    test("leaves no process and no descriptor once it has ended", async () => {
      assert.equal((await attacker.tenant.call("DELETE", `/accounts/${attacker.tenant.id}`)).status, 200);
      await awaitUntil(() => installation.capsules().length <= start.capsules, { what: "the attackers' processes are gone" });
      const limits = start.descriptors.map((held) => held + SPARE_DESCRIPTORS);
      await awaitUntil(() => wings().every((pid, at) => descriptors(pid) <= (limits[at] ?? 0)), {
        what: `no more descriptors than ${limits.join(" and ")}`,
        deadlineMs: 30_000,
      });
    });
  });
}

test("the corpus has a hundred and fifty attacks and more", (t) => {
  t.diagnostic(`${count} attacks on ${HERE.length} rungs: ${HERE.join(", ")}`);
  assert.ok(count >= 150);
});
