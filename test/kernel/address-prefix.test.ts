// Whom the limit counts as one.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { addressPrefix, networkPrefix } from "../../src/kernel/address-prefix.ts";

const TABLE: readonly (readonly [string, string])[] = [
  ["192.0.2.1", "192.0.2.1/32"],
  ["127.0.0.1", "127.0.0.1/32"],
  ["::ffff:192.0.2.1", "192.0.2.1/32"],
  ["::ffff:c000:201", "192.0.2.1/32"],
  ["::1", "::/56"],
  ["2001:db8:0:1ff:1::2", "2001:db8:0:100::/56"],
  ["2001:0DB8:0000:0100::", "2001:db8:0:100::/56"],
  ["2001:db8:0:200::1", "2001:db8:0:200::/56"],
  ["fe80::1%eth0", "fe80::/56"],
  ["", "unknown"],
  ["proxy.example", "unknown"],
];

describe("the prefix of an address", () => {
  for (const [address, prefix] of TABLE) {
    test(`of "${address}" is ${prefix}`, () => {
      assert.equal(addressPrefix(address), prefix);
    });
  }
});

const NETWORKS: readonly (readonly [string, string])[] = [
  ["192.0.2.77", "192.0.2.0/24"],
  ["::ffff:192.0.2.77", "192.0.2.0/24"],
  ["2001:db8:1:1ff:1::2", "2001:db8:1::/48"],
  ["fe80::1%eth0", "fe80::/48"],
  ["::1", "::/48"],
  ["proxy.example", "unknown"],
];

describe("the network around an address", () => {
  for (const [address, prefix] of NETWORKS) {
    test(`of "${address}" is ${prefix}`, () => {
      assert.equal(networkPrefix(address), prefix);
    });
  }
});
