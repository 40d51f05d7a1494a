// The policy alone: which addresses are public, however they are written.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import ipaddr from "ipaddr.js";
import fc from "fast-check";
import { refuseAddress, type Own } from "../../../src/host/egress/address-policy.ts";
import { isInner, readAuthority, readUrl } from "../../../src/host/egress/target.ts";
import { LOOPBACK_NAMES, NO_HOST, OWN, OWN_SPELLINGS, PUBLIC, REFUSED } from "./spellings.ts";

const own: Own = (address) => ((OWN as readonly string[]).includes(address.toString()) ? "an address of this machine" : null);

/** As egress judges what a Worker wrote: canonical spelling first, then the policy; null is public, "name" wants a look-up. */
function judge(host: string): string | null {
  const target = readUrl(`http://${host}/`);
  if (target === null) return "malformed";
  return target.literal ? refuseAddress(target.hostname, own) : "name";
}

describe("addresses", () => {
  test("in every spelling are refused for what they are", () => {
    const all = [...REFUSED, ...OWN_SPELLINGS];
    assert.ok(new Set(all.map(([host]) => host)).size >= 200);
    for (const [host, why] of all) assert.match(String(judge(host)), why, host);
  });

  test("beside the blocks of the registries are public", () => {
    for (const host of PUBLIC) assert.equal(judge(host), null, host);
  });

  test("are never taken for names, nor what is no host at all for either", () => {
    for (const host of NO_HOST) assert.equal(judge(host), "malformed", host);
    for (const host of LOOPBACK_NAMES) assert.match(readUrl(`http://${host}/`)?.hostname ?? "", /(^|\.)localhost$/, host);
  });

  test("of IPv4 have one verdict in decimal, octal, hexadecimal, short, mapped and translated spelling", () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(fc.tuple(byte, byte, byte, byte), ([a, b, c, d]) => {
        const number = ((a * 256 + b) * 256 + c) * 256 + d;
        const hex = number.toString(16).padStart(8, "0");
        const octal = [a, b, c, d].map((part) => `0${part.toString(8)}`).join(".");
        const dotted = `${a}.${b}.${c}.${d}`;
        const words = `${hex.slice(0, 4)}:${hex.slice(4)}`;
        const written = [String(number), `0x${hex}`, octal, `${a}.${b}.${c * 256 + d}`, `${a}.${(b * 256 + c) * 256 + d}`, `${dotted}.`];
        const carried = [`[::ffff:${dotted}]`, `[::ffff:${words}]`, `[64:ff9b::${dotted}]`, `[64:ff9b::${words}]`];
        const verdict = judge(dotted);
        for (const host of [...written, ...carried]) assert.equal(judge(host), verdict, `${host} is not judged as ${dotted}`);
        for (const tunnelled of [`[2002:${words}::1]`, `[2001:0:${words}::1]`, `[::${words}]`, `[64:ff9b:1::${words}]`])
          assert.ok(judge(tunnelled) !== null, tunnelled);
      }),
    );
  });

  test("that another library calls anything but unicast are refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        for (const address of [new ipaddr.IPv4(Array.from(bytes.subarray(0, 4))), new ipaddr.IPv6(Array.from(bytes))]) {
          const known = address.range();
          if (known === "unicast" || known === "rfc6052" || known === "ipv4Mapped") continue;
          assert.ok(refuseAddress(address.toString(), own), `${address.toString()} is ${known}`);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("that a resolver answers are judged whatever it says", () => {
    const answers = [
      "127.0.0.1",
      "::1",
      "fe80::1%eth0",
      "2606:4700::1%eth0",
      "::ffff:10.0.0.1",
      "::ffff:127.0.0.1%1",
      "nonsense",
      "",
      "1.1.1.1/0",
    ];
    for (const answer of answers) assert.ok(refuseAddress(answer, own), answer);
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

  test("a port is read in decimal alone", () => {
    assert.equal(readUrl("http://example.com:00080/")?.port, 80);
    for (const bad of ["0x19", "+25", "-25", "2 5", "25x", "6.5", "65561", "９"])
      assert.equal(readUrl(`http://example.com:${bad}/`), null, bad);
    assert.equal(readAuthority("example.com:025")?.port, 25);
    assert.equal(readAuthority("[::1]:25:80"), null);
  });

  test("a host of this installation is known by its whole suffix", () => {
    assert.ok(isInner("a.mayfly.localhost", "mayfly.localhost"));
    assert.ok(isInner("mayfly.localhost", "mayfly.localhost"));
    assert.ok(!isInner("amayfly.localhost", "mayfly.localhost"));
    assert.ok(!isInner("mayfly.localhost.example.com", "mayfly.localhost"));
  });
});
