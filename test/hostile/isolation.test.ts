// A Worker against the machine: it never reads another account's files, never reaches control, loopback, private,
// link-local or metadata addresses, and never sees the platform's environment.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, globSync } from "node:fs";
import { hostname, networkInterfaces, tmpdir } from "node:os";
import { after, before, describe, test } from "node:test";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { tenantAt, type Tenant } from "../fixtures/tenant.ts";
import { attackerCode, attacks } from "./attacks.ts";

const VICTIM_SECRET = "victims-own-3f8a1b";
const MASTER_KEY = "5eed".repeat(16);
const PLATFORM_CANARY = "platforms-own-77c2d0";

const ownAddresses = (): string[] => [
  hostname(),
  ...Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith("fe80"))
    .map(({ family, address }) => (family === "IPv6" ? `[${address}]` : address)),
];

/** What must never be in any answer, whatever was tried. */
const NEVER = new RegExp([VICTIM_SECRET, MASTER_KEY, PLATFORM_CANARY, "root:x:0:0", "MAYFLY_", '"database":', "connected: "].join("|"));

describe("a Worker", () => {
  const list = attacks(ownAddresses());
  let installation: Installation;
  let attacker: Tenant;

  before(async () => {
    installation = await startInstallation({ MAYFLY_MASTER_KEY: MASTER_KEY, PLATFORM_CANARY });
    const victim = await tenantAt(installation);
    const secret = { type: "secret_text", name: "S", text: VICTIM_SECRET };
    await victim.deploy(
      "victim",
      `// ${VICTIM_SECRET}
       export default { async fetch() { await caches?.default?.put?.("http://victim/cached", new Response("${VICTIM_SECRET}"))?.catch?.(() => {}); return new Response("ok"); } };`,
      { metadata: { bindings: [secret] } },
    );
    await installation.edge(victim.host("victim"));
    const files = globSync(`${installation.data}/accounts/${victim.id}/code/**/*`, { withFileTypes: true });
    const victimFile = files.find((entry) => entry.isFile());
    assert.ok(victimFile, "the victim's code is where the attack looks for it");
    attacker = await tenantAt(installation);
    const names: Record<string, string> = {
      VICTIM_FILE: `${victimFile.parentPath}/${victimFile.name}`,
      DATA: installation.data,
      RUN: runDirectory(installation),
      SELF: attacker.host("attacker"),
      CONTROL_PORT: String(installation.apiPort),
    };
    const fill = (code: string): string => code.replaceAll(/\b(VICTIM_FILE|DATA|RUN|SELF|CONTROL_PORT)\b/g, (name) => names[name] ?? name);
    const bindings = [{ type: "plain_text", name: "CANARY_OF_MY_OWN", text: "mine" }];
    await attacker.deploy("attacker", attackerCode(list, fill), { metadata: { bindings, compatibility_flags: ["nodejs_compat"] } });
  });
  after(() => installation[Symbol.asyncDispose]());

  assert.ok(list.length >= 30);
  for (const [index, attack] of list.entries()) {
    test(`gets nowhere with ${attack.tries}`, async () => {
      const answer = await installation.edge(attacker.host("attacker"), `/${index}`);
      assert.equal(answer.status, 200, answer.body);
      assert.doesNotMatch(answer.body, NEVER);
      assert.match(answer.body, new RegExp(attack.outcome.source.replaceAll("SELF", attacker.host("attacker")), "s"));
    });
  }
});

/** The directory of the sockets between control and host, as src/config.ts names it. */
function runDirectory({ data }: Installation): string {
  const digest = createHash("sha256").update(data).digest("hex").slice(0, 8);
  const directory = process.getuid?.() === 0 ? `/run/mayfly-${digest}` : `${tmpdir()}/mayfly-${process.getuid?.() ?? 0}-${digest}`;
  assert.ok(existsSync(`${directory}/control.sock`), "control's socket is where the attack looks for it");
  return directory;
}
