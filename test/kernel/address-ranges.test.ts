// Ranges of addresses against ipaddr.js, which reads every address the long way.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { AddressSet, readRange, type AddressRange } from "../../src/kernel/address-ranges.ts";

const range = (text: string): AddressRange => readRange(text) ?? assert.fail(text);
const setOf = (...texts: string[]): AddressSet => new AddressSet(texts.map(range));

test("a range has one written form", () => {
  const cases: [string, string][] = [
    ["192.0.2.77", "192.0.2.77/32"],
    [" 192.0.2.77/24 ", "192.0.2.0/24"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:DB8:0:0::1/32", "2001:db8::/32"],
    ["2001:db8::1", "2001:db8::1/128"],
    ["::ffff:192.0.2.7/120", "192.0.2.0/24"],
    ["::ffff:c000:0207", "192.0.2.7/32"],
    ["::/0", "::/0"],
  ];
  for (const [given, cidr] of cases) assert.equal(range(given).cidr, cidr, given);
  const wrong = [
    "",
    "x",
    "192.0.2",
    "192.0.2.1/33",
    "::1/129",
    "10.1/16",
    "0x7f.0.0.1",
    "010.0.0.1",
    "1.2.3.4/",
    "1.2.3.4/-1",
    "fe80::1%eth0",
  ];
  for (const given of [...wrong, "1.2.3.4/24/24", "1.2.3.4:80", "[::1]", "::1::", "host"]) assert.equal(readRange(given), null, given);
});

test("an address is in the ranges that hold it, in whatever form it comes", () => {
  const set = setOf("192.0.2.0/24", "192.0.2.128/25", "198.51.100.7", "2001:db8:1::/48", "::1");
  for (const inside of ["192.0.2.0", "192.0.2.255", "198.51.100.7", "::ffff:192.0.2.9", "::ffff:c000:0209", "2001:db8:1::", "::1"])
    assert.ok(set.has(inside), inside);
  for (const inside of ["2001:0DB8:0001:ffff:ffff:ffff:ffff:ffff", "2001:db8:1::7%eth0"]) assert.ok(set.has(inside), inside);
  for (const outside of ["192.0.1.255", "192.0.3.0", "198.51.100.8", "2001:db8:2::", "2001:db8:0:ffff::", "::2", "::", "192.0.2.1.1"])
    assert.ok(!set.has(outside), outside);
  for (const none of ["", "unknown", "192.0.2", "192.0.2.256", ":::", "1:2:3:4:5:6:7:8:9", "g::", "12345::"])
    assert.ok(!set.has(none), none);
  assert.ok(!setOf("::/0").has("192.0.2.1"), "an IPv6 range holds no IPv4 address");
  assert.ok(!new AddressSet([]).has("192.0.2.1"));
});

const four = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(255), fc.nat(255)).map((parts) => parts.join("."));
const six = fc
  .array(fc.constantFrom(0, 0, 0, 1, 2, 0xdb8, 0xffff), { minLength: 8, maxLength: 8 })
  .map((groups) => new ipaddr.IPv6(groups).toString());
const address = fc.oneof(four, six);

test("whatever ranges there are, a set says of an address what each of them says", () => {
  const ranged = fc.oneof(fc.tuple(four, fc.integer({ min: 4, max: 32 })), fc.tuple(six, fc.integer({ min: 3, max: 128 })));
  fc.assert(
    fc.property(fc.array(ranged, { maxLength: 30 }), fc.array(address, { minLength: 1, maxLength: 30 }), (texts, asked) => {
      const ranges = texts.map(([network, bits]) => range(`${network}/${bits}`));
      const set = new AddressSet(ranges);
      for (const one of asked) {
        const parsed = ipaddr.process(one);
        const expected = ranges.some(({ cidr }) => {
          const [network, bits] = ipaddr.parseCIDR(cidr);
          return network.kind() === parsed.kind() && parsed.match(network, bits);
        });
        assert.equal(set.has(one), expected, `${one} in ${ranges.map(({ cidr }) => cidr).join(" ")}`);
      }
    }),
    { numRuns: 300 },
  );
});

test("ten thousand ranges cost a request next to nothing", () => {
  const ranges = Array.from({ length: 10_000 }, (_, at) =>
    range(at % 2 === 0 ? `${1 + (at % 200)}.${(at >> 3) & 255}.${at & 255}.0/24` : `2001:${at.toString(16)}::/32`),
  );
  const set = new AddressSet(ranges);
  const asked = ["203.0.113.200", "2001:db8::1", "10.20.30.40", "2001:abcd:1:2:3:4:5:6"];
  const rounds = 200_000;
  for (let at = 0; at < rounds; at++) set.has(asked[at & 3] ?? "");
  const startedAt = performance.now();
  for (let at = 0; at < rounds; at++) set.has(asked[at & 3] ?? "");
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < 5000, `${rounds} look-ups took ${tookMs} ms`);
});
