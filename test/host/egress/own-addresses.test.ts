// What is this installation's own though its address is public, and how names are looked up for one account.
import assert from "node:assert/strict";
import type { NetworkInterfaceInfo } from "node:os";
import { describe, test } from "node:test";
import ipaddr from "ipaddr.js";
import { refuseAddress } from "../../../src/host/egress/address-policy.ts";
import { Lookups } from "../../../src/host/egress/lookups.ts";
import { OwnAddresses, type OwnOptions } from "../../../src/host/egress/own-addresses.ts";

const NOTHING: OwnOptions = { deny: [], names: [], proxies: [], lookup: async () => [], interfaces: () => ({}) };

const one = (cidr: string): NetworkInterfaceInfo => {
  const address = cidr.split("/")[0] ?? "";
  const base = { address, netmask: "", mac: "", internal: false, cidr };
  return ipaddr.IPv6.isValid(address) ? { ...base, family: "IPv6", scopeid: 0 } : { ...base, family: "IPv4" };
};

const judge = (own: OwnAddresses, address: string): string | null => refuseAddress(address, own.refuse);

describe("this installation's own addresses", () => {
  test("are those of the machine's interfaces, and the small networks that they stand in, but not a provider's", () => {
    const own = new OwnAddresses({
      ...NOTHING,
      interfaces: () => ({
        eth0: [one("93.184.215.99/24"), one("2606:2800:21f::99/64")],
        eth1: [one("151.101.1.9/20"), one("2a04:4e42::9/48")],
      }),
    });
    for (const address of ["93.184.215.99", "::ffff:93.184.215.99", "2606:2800:21f::99", "151.101.1.9", "2a04:4e42::9"])
      assert.equal(judge(own, address), "an address of this machine", address);
    for (const address of ["93.184.215.1", "64:ff9b::5db8:d701", "2606:2800:21f::1"])
      assert.equal(judge(own, address), "an address of this machine's own network", address);
    for (const address of ["93.184.216.1", "151.101.1.10", "2606:2800:21f:1::1", "2a04:4e42::10"])
      assert.equal(judge(own, address), null, address);
  });

  test("are known of the machine that this runs on", () => {
    const { interfaces: _none, ...real } = NOTHING;
    const own = new OwnAddresses(real);
    const found = own.refuse(ipaddr.parse("127.0.0.1"));
    assert.equal(found, "an address of this machine");
  });

  test("are what the operator names, in any spelling", () => {
    const own = new OwnAddresses({ ...NOTHING, deny: ["93.184.215.0/28", "::ffff:8.8.8.0/120", "2606:4700::/32", "1.1.1.1"] });
    for (const address of [
      "93.184.215.14",
      "::ffff:93.184.215.14",
      "64:ff9b::5db8:d70e",
      "8.8.8.8",
      "2606:4700:1::1",
      "1.1.1.1",
      "2a00::5efe:101:101",
    ])
      assert.equal(judge(own, address), "an address that the operator of this installation has closed", address);
    for (const address of ["93.184.215.16", "8.8.4.4", "1.1.1.2", "2607::1"]) assert.equal(judge(own, address), null, address);
    assert.throws(() => new OwnAddresses({ ...NOTHING, deny: ["here"] }), /neither an address nor a CIDR range/);
  });

  test("are what its public names lead to, unless that is a proxy in front, and stay so while no resolver answers", async () => {
    const answers: Record<string, readonly string[]> = {
      "mayfly.example": ["93.184.215.14", "2606:4700::14"],
      "fronted.example": ["8.8.8.8", "1.1.1.1"],
    };
    let [nowMs, asked] = [0, 0];
    const own = new OwnAddresses({
      ...NOTHING,
      names: ["mayfly.example", "Fronted.example.", "[2a04:4e42::9]", "9.9.9.9", "localhost", "mayfly.localhost"],
      proxies: ["8.8.8.0/24"],
      nowMs: () => nowMs,
      lookup: async (name) => {
        asked++;
        return answers[name] ?? Promise.reject(new Error(`${name} has no answer`));
      },
    });
    const later = async (): Promise<void> => {
      nowMs += 61_000;
      const before = asked;
      await own.known();
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(asked - before, 2, "both names, and neither of what leads to this machine alone");
    };
    const ours = (...addresses: string[]): void => {
      for (const address of addresses) assert.equal(judge(own, address), "an address of this installation", address);
    };
    await own.known();
    assert.equal(asked, 2, "the first verdict waits for it");
    await own.known();
    assert.equal(asked, 2);
    ours("93.184.215.14", "2606:4700::14", "1.1.1.1", "2a04:4e42::9", "9.9.9.9");
    assert.equal(judge(own, "8.8.8.8"), null, "the proxy serves others too");
    delete answers["mayfly.example"];
    answers["fronted.example"] = ["1.0.0.1"];
    await later();
    ours("93.184.215.14", "1.0.0.1", "9.9.9.9");
    assert.equal(judge(own, "1.1.1.1"), null, "the name leads elsewhere");
    answers["fronted.example"] = [];
    await later();
    ours("93.184.215.14", "1.0.0.1");
  });
});

describe("look-ups of one account", () => {
  test("ask once for a name at a time, and a few at once", async () => {
    const asked: string[] = [];
    const open: (() => void)[] = [];
    const lookups = new Lookups((name) => {
      asked.push(name);
      return new Promise((resolve) => open.push(() => resolve(["93.184.215.14"])));
    });
    const same = [lookups.ask("a.example"), lookups.ask("a.example")];
    const others = Array.from({ length: 40 }, (_, i) => lookups.ask(`${i}.example`));
    assert.equal(asked.length, 16);
    while (open.length > 0) {
      open.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(await Promise.all(same), [["93.184.215.14"], ["93.184.215.14"]]);
    assert.equal((await Promise.all(others)).length, 40);
    assert.equal(asked.length, 41);
  });

  test("that fail find nothing, and thousands of answers are not judged", async () => {
    const lookups = new Lookups(async (name) =>
      name === "many.example" ? Array<string>(5_000).fill("10.0.0.1") : Promise.reject(new Error("ENOTFOUND")),
    );
    assert.deepEqual(await lookups.ask("none.example"), []);
    assert.equal((await lookups.ask("many.example")).length, 64);
  });
});
