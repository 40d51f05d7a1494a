import assert from "node:assert/strict";
import { test } from "node:test";
import { CONTROL_ONLY, SETTINGS, SettingError, readControlConfig, readHostConfig } from "../src/config.ts";

test("without any setting everything is on loopback and sign-up is open", () => {
  const config = readControlConfig({});
  assert.equal(config.url.origin, "http://localhost:8787");
  assert.equal(config.edgeUrl.origin, "http://mayfly.localhost:8788");
  assert.equal(config.bind, "127.0.0.1");
  assert.equal(config.signUp, "open");
  assert.equal(config.powHashes, 1_000_000);
  assert.equal(config.accountTtlSeconds, 3600);
});

test("sign-up is by invitation as soon as anything is reachable from outside", () => {
  assert.equal(readControlConfig({ MAYFLY_BIND: "0.0.0.0" }).signUp, "invite");
  assert.equal(readControlConfig({ MAYFLY_URL: "https://mayfly.example" }).signUp, "invite");
});

test("the console's origin is never equal to, under or above the edge domain, bare localhost excepted", () => {
  const edge = { MAYFLY_EDGE_DOMAIN: "apps.example.com" };
  for (const url of ["https://apps.example.com", "https://x.apps.example.com", "https://example.com"]) {
    assert.throws(() => readControlConfig({ ...edge, MAYFLY_URL: url }), SettingError);
  }
  assert.equal(readControlConfig({ ...edge, MAYFLY_URL: "https://console.example.com" }).url.hostname, "console.example.com");
});

const WRONG: readonly (readonly [name: string, value: string])[] = [
  ["MAYFLY_PORT", "http"],
  ["MAYFLY_PORT", "70000"],
  ["MAYFLY_EDGE_DOMAIN", "-bad-.example"],
  ["MAYFLY_URL", "mayfly.example"],
  ["MAYFLY_URL", "https://mayfly.example/console"],
  ["MAYFLY_URL", "https://user@mayfly.example"],
  ["MAYFLY_EDGE_URL", "ftp://x"],
  ["MAYFLY_TRUSTED_PROXIES", "10.0.0.0/8, everyone"],
  ["MAYFLY_MASTER_KEY", "short"],
  ["MAYFLY_ACCOUNT_TTL_SECONDS", "0"],
  ["MAYFLY_POW_HASHES", "64000001"],
  ["MAYFLY_SIGNUP", "closed"],
  ["MAYFLY_EGRESS_PORTS", "80,"],
  ["MAYFLY_EGRESS_PORTS", "80,65536"],
  ["MAYFLY_EGRESS_PORTS", "80,25"],
  ["MAYFLY_EGRESS_PORTS_CLAIMED", "587"],
  ["MAYFLY_EGRESS_PORTS_CLAIMED", "all"],
  ["MAYFLY_EGRESS_CONNECTIONS", "0"],
];

for (const [name, value] of WRONG) {
  test(`${name}=${value} is refused by name, with what the setting means`, () => {
    assert.throws(
      () => readControlConfig({ [name]: value }),
      (error) => error instanceof SettingError && error.message.startsWith(name),
    );
  });
}

test("the host's settings hold nothing that opens the database or a seal", () => {
  const secrets = { MAYFLY_MASTER_KEY: "ab".repeat(32), MAYFLY_DATABASE_URL: "postgresql://secret" };
  assert.deepEqual(new Set(CONTROL_ONLY), new Set(Object.keys(secrets)));
  assert.doesNotMatch(JSON.stringify(readHostConfig(secrets)), /abab|secret/);
  assert.throws(() => readHostConfig({ MAYFLY_SANDBOX: "chroot" }), SettingError);
});

test("which addresses and ports are closed to Workers is read, or refused by name with the reason", () => {
  assert.deepEqual(readHostConfig({}).egressDeny, []);
  assert.deepEqual(readHostConfig({ MAYFLY_EGRESS_DENY: "192.0.2.0/24, 2001:db8::1" }).egressDeny, ["192.0.2.0/24", "2001:db8::1"]);
  assert.throws(() => readHostConfig({ MAYFLY_EGRESS_DENY: "192.0.2.0/24, my-router" }), {
    name: "SettingError",
    message: /^MAYFLY_EGRESS_DENY cannot be read: "my-router" is neither an address nor a CIDR range/,
  });
  assert.deepEqual(readControlConfig({ MAYFLY_EGRESS_PORTS: "80, 8443" }).limits.egress.ports, [80, 8443]);
  assert.equal(readControlConfig({}).egressPortsClaimed, "any");
  assert.throws(
    () => readControlConfig({ MAYFLY_EGRESS_PORTS_CLAIMED: "443,25" }),
    /MAYFLY_EGRESS_PORTS_CLAIMED must not name 25: mail is never sent/,
  );
});

test("how much of a log is kept is none, or enough to be one", () => {
  const { logs, logBytes } = readHostConfig({});
  assert.deepEqual([logs, logBytes], ["full", 8_388_608]);
  assert.equal(readHostConfig({ MAYFLY_LOG_BYTES: "0", MAYFLY_LOGS: "requests" }).logBytes, 0);
  assert.throws(() => readHostConfig({ MAYFLY_LOG_BYTES: "1000" }), {
    name: "SettingError",
    message: /^MAYFLY_LOG_BYTES must be 0 or at least/,
  });
  assert.throws(() => readHostConfig({ MAYFLY_LOGS: "some" }), { name: "SettingError", message: /^MAYFLY_LOGS must be one of/ });
});

test("every setting is described with its unit", () => {
  for (const { name, unit, meaning } of Object.values(SETTINGS)) {
    assert.match(name, /^MAYFLY_[A-Z0-9_]+$/);
    assert.ok(unit.length > 0 && meaning.length > 0, name);
  }
});

test("browsers are told of unclaimed pages where others can reach the edge, unless the operator says otherwise", () => {
  const told = (environment: Record<string, string>): boolean => readHostConfig(environment).interstitial;
  assert.equal(told({}), false);
  assert.equal(told({ MAYFLY_EDGE_BIND: "0.0.0.0" }), true);
  assert.equal(told({ MAYFLY_EDGE_URL: "https://apps.example.com", MAYFLY_EDGE_DOMAIN: "apps.example.com" }), true, "behind a proxy");
  assert.equal(told({ MAYFLY_EDGE_BIND: "0.0.0.0", MAYFLY_INTERSTITIAL: "off" }), false);
  assert.equal(told({ MAYFLY_INTERSTITIAL: "on" }), true);
  assert.throws(() => told({ MAYFLY_INTERSTITIAL: "maybe" }), { name: "SettingError", message: /^MAYFLY_INTERSTITIAL must be one of/ });
});
