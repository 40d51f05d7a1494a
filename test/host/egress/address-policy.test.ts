// The policy alone: which addresses are public, however they are written.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { machineAddresses, refuseAddress } from "../../../src/host/egress/address-policy.ts";
import { isInner, readAuthority, readUrl } from "../../../src/host/egress/target.ts";

const OWN = new Set(["93.184.215.99", "2606:2800:21f::99"]);

/** As egress judges what a Worker wrote: canonical spelling first, then the policy; null is public, "name" wants a look-up. */
function judge(host: string): string | null {
  const target = readUrl(`http://${host}/`);
  if (target === null) return "malformed";
  return target.literal ? refuseAddress(target.hostname, OWN) : "name";
}

const LOOPBACK = [
  "127.0.0.1",
  "127.0.0.1.",
  "127.1",
  "127.0.1",
  "127.255.255.254",
  "2130706433",
  "017700000001",
  "0x7f000001",
  "0x7f.1",
  "0x7F.0x0.0x0.0x1",
  "0177.0.0.1",
  "0177.0.1",
  "0177.1",
  "127.0x1",
  "127.000.000.001",
  "0x7f.0.0.1.",
  "00000177.1",
  "0x0000007f.1",
  "%31%32%37.0.0.1",
  "127%2e0%2e0%2e1",
  "１２７.0.0.1",
  "①②⑦.0.0.1",
  "127。0。0。1",
  "127．0．0．1",
  "[::1]",
  "[0:0:0:0:0:0:0:1]",
  "[0000::0001]",
  "[::0.0.0.1]",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "[0:0:0:0:0:ffff:7f00:0001]",
  "[::127.0.0.1]",
  "[::7f00:1]",
  "[64:ff9b::127.0.0.1]",
  "[64:ff9b::7f00:1]",
  "[64:ff9b:1::7f00:1]",
  "[2002:7f00:1::]",
  "[2002:7f00:0001::1]",
  "[2001:0:7f00:1::1]",
  "[2001:0:808:808:0:0:80ff:fffe]",
  "[::ffff:0:7f00:1]",
  "[2606:4700::5efe:7f00:1]",
];

const OTHERS = [
  "0.0.0.0",
  "0",
  "0x0",
  "0.1.2.3",
  "[::]",
  "10.0.0.1",
  "10.255.255.255",
  "012.0.0.1",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.1.1",
  "0xc0a80101",
  "169.254.169.254",
  "2852039166",
  "0xa9fea9fe",
  "[::ffff:169.254.169.254]",
  "[::ffff:a9fe:a9fe]",
  "[fd00:ec2::254]",
  "168.63.129.16",
  "100.64.0.1",
  "100.100.100.200",
  "192.0.0.192",
  "192.0.2.1",
  "198.18.0.1",
  "198.51.100.1",
  "203.0.113.1",
  "224.0.0.1",
  "239.255.255.255",
  "240.0.0.1",
  "255.255.255.255",
  "[fe80::1]",
  "[fc00::1]",
  "[fec0::1]",
  "[ff02::1]",
  "[2001:db8::1]",
  "[100::1]",
  "[64:ff9b::10.0.0.1]",
  "[2002:a00:1::]",
  "[4000::1]",
  "93.184.215.99",
  "[::ffff:93.184.215.99]",
  "[2606:2800:21f:0:0:0:0:99]",
  "[64:ff9b::5db8:d763]",
];

const PUBLIC = [
  "93.184.215.14",
  "1.1.1.1",
  "8.8.8.8",
  "172.15.0.1",
  "172.32.0.1",
  "100.63.255.255",
  "100.128.0.1",
  "[2606:4700::1]",
  "[64:ff9b::8.8.8.8]",
  "[2002:808:808::1]",
];

describe("addresses", () => {
  test("every spelling of loopback is refused", () => {
    assert.ok(LOOPBACK.length >= 30);
    for (const host of LOOPBACK) assert.match(String(judge(host)), /^(an? |malformed)/, host);
  });

  test("private, link-local, metadata, reserved and own addresses are refused", () => {
    for (const host of OTHERS) assert.match(String(judge(host)), /^an? /, host);
  });

  test("public addresses are not", () => {
    for (const host of PUBLIC) assert.equal(judge(host), null, host);
  });

  test("what is no host at all is malformed", () => {
    const bad = [
      "",
      "[::1",
      "[fe80::1%25eth0]",
      "a b",
      "user@127.0.0.1",
      "example.com\\@127.0.0.1",
      "256.0.0.1",
      "1.2.3.4.5",
      "example.com:0",
      "example.com:65536",
    ];
    for (const host of bad) assert.equal(judge(host), "malformed", host);
  });

  test("an answer of the resolver is judged whatever it says", () => {
    for (const answer of ["127.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "nonsense", ""])
      assert.ok(refuseAddress(answer, OWN), answer);
  });

  test("this machine's own addresses are known", () => {
    assert.ok(machineAddresses()().has("127.0.0.1"));
  });
});

describe("targets", () => {
  test("the default port is left out of the Host header, another is kept, the path is untouched", () => {
    assert.equal(readUrl("https://Example.COM.:443/a%2Fb/../c?d=%20")?.authority, "example.com");
    assert.equal(readUrl("https://Example.COM.:443/a%2Fb/../c?d=%20")?.path, "/a%2Fb/../c?d=%20");
    assert.equal(readUrl("http://example.com:443?x")?.authority, "example.com:443");
    assert.equal(readUrl("http://example.com:443?x")?.path, "/?x");
    assert.equal(readUrl("http://bücher.example/")?.hostname, "xn--bcher-kva.example");
    assert.equal(readAuthority("example.com:443")?.port, 443);
    assert.equal(readAuthority("[2606:4700::1]:443")?.hostname, "2606:4700::1");
    for (const bad of ["example.com", "example.com:", ":443", "http://example.com:443", "/x:1"])
      assert.equal(readAuthority(bad), null, bad);
    for (const bad of ["/path", "ftp://example.com/", "example.com:80", "*"]) assert.equal(readUrl(bad), null, bad);
  });

  test("a host of this installation is known by its whole suffix", () => {
    assert.ok(isInner("a.mayfly.localhost", "mayfly.localhost"));
    assert.ok(isInner("mayfly.localhost", "mayfly.localhost"));
    assert.ok(!isInner("amayfly.localhost", "mayfly.localhost"));
    assert.ok(!isInner("mayfly.localhost.example.com", "mayfly.localhost"));
  });
});
