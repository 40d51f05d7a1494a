// Where a Worker does not get, however it tries: real code, a real resolver's place played, and nothing connected.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openOutside, OWN, PUBLIC as SITE, type Outside } from "./outside.ts";
import { LOOPBACK_NAMES, NO_HOST, PUBLIC, REFUSED } from "./spellings.ts";

type Try = { readonly host: string; readonly fetched: string; readonly connected: string };

let outside: Outside;

before(async () => {
  outside = await openOutside();
});

after(() => outside[Symbol.asyncDispose]());

async function tries(hosts: readonly string[]): Promise<readonly Try[]> {
  const { status, body } = await outside.ask("/tries", {}, { method: "POST", body: JSON.stringify(hosts) });
  assert.equal(status, 200, body);
  return JSON.parse(body) as Try[];
}

describe("a Worker", () => {
  test("reaches no address that is not public, by fetch() or connect(), in any spelling", async () => {
    const why = new Map(REFUSED);
    const tried = await tries([...why.keys(), ...LOOPBACK_NAMES]);
    assert.equal(tried.length, why.size + LOOPBACK_NAMES.length);
    for (const { host, fetched, connected } of tried) {
      assert.match(fetched, /^403 error code: 1003\n.* cannot be reached from here: it is a/, host);
      const reason = /: it is (.*)\.\n$/.exec(fetched)?.[1] ?? "";
      assert.match(reason, why.get(host) ?? /^a loopback name$/, host);
      assert.match(connected, /^(rejected|threw)$/, host);
    }
    assert.deepEqual(outside.connected, []);
  });

  test("reaches nothing by what is no host, or the host that it names", async () => {
    for (const { host, fetched, connected } of await tries(NO_HOST)) {
      // A backslash is a slash in a URL, and what stands before it the host.
      if (host.startsWith("example.com\\")) assert.equal(fetched, "200 the outside");
      else assert.match(fetched, /^(threw|400|403) /, host);
      assert.match(connected, /^(rejected|threw)$/, host);
    }
    assert.deepEqual(outside.connected, [`${SITE}:80`]);
  });

  test("reaches public addresses in every spelling", async () => {
    for (const { host, fetched, connected } of await tries(PUBLIC))
      assert.deepEqual([fetched, connected], ["200 the outside", "opened"], host);
  });

  test("is not led to one by a process that writes the request itself", async () => {
    const before = outside.connected.length;
    for (const host of [...REFUSED.map(([spelling]) => spelling), ...LOOPBACK_NAMES]) {
      // What no HTTP client can write stands for itself: it is what the Worker's own runtime refuses.
      if (/[^\x21-\x7e]/.test(host)) continue;
      const fetched = await outside.direct(`http://${host}/`);
      assert.equal(fetched.status, 403, host);
      assert.equal((await outside.direct(`${host}:80`, "CONNECT")).status, 403, host);
    }
    assert.equal(outside.connected.length, before);
  });
});

describe("a redirect", () => {
  test("leads to no address that is not public, be it the first or the third", async () => {
    const redirected = (to: string): string => `http://example.com/redirect?${encodeURIComponent(to)}`;
    for (const to of [
      "http://127.0.0.1/",
      "http://0xa9fea9fe/latest/",
      "http://[::ffff:10.0.0.1]/",
      "http://inside.example/",
      "http://example.com:22/",
    ]) {
      outside.names.set("inside.example", () => ["10.0.0.7"]);
      const before = outside.connected.length;
      for (const first of [redirected(to), redirected(redirected(redirected(to)))]) {
        const got = await outside.ask("/fetch", { to: first });
        assert.equal(got.status, 403, to);
        assert.match(got.body, /cannot be reached from here/);
      }
      assert.ok(outside.connected.slice(before).every((made) => made === `${SITE}:80`));
    }
  });
});

describe("a name", () => {
  test("that leads to a private address, or to what the operator closed, is refused after look-up, and the host is told to the log", async () => {
    for (const [address, why] of [
      ["10.0.0.7", /its name leads to a private address/],
      ["::1", /its name leads to a loopback address/],
      ["fe80::1%eth0", /link-local/],
      ["64:ff9b::a9fe:a9fe", /link-local/],
      ["168.63.129.16", /a metadata address/],
      [OWN, /the operator of this installation has closed/],
      ["nonsense", /not an address/],
    ] as const) {
      const name = `to-${address.replaceAll(/[^0-9a-z]/g, "-")}.example`;
      outside.names.set(name, () => [address]);
      const got = await outside.ask("/fetch", { to: `http://${name}/` });
      assert.equal(got.status, 403);
      assert.match(got.body, why);
      assert.equal((await outside.direct(`${name}:443`, "CONNECT")).status, 403);
      assert.deepEqual([outside.noted.at(-1)?.what, outside.noted.at(-1)?.host], ["egress", `${name}:443`]);
      assert.ok(!outside.noted.at(-1)?.reason.includes(name), "the trail's reason names no host");
    }
  });

  test("that changes its mind is judged at each connection, and the judged address is the one connected to", async () => {
    let asked = 0;
    outside.names.set("rebind.example", () => (asked++ % 2 === 0 ? [SITE] : ["127.0.0.1"]));
    const before = outside.connected.length;
    const [first] = await Promise.all([
      outside.ask("/fetch", { to: "http://rebind.example/" }),
      outside.ask("/fetch", { to: "http://rebind.example/" }),
    ]);
    assert.equal(first.body, "the outside");
    assert.equal(asked, 1, "what was found is kept for a moment");
    assert.ok(outside.connected.slice(before).every((made) => made === `${SITE}:80`));
    // A name of another spelling is another name to whoever keeps answers, and the same to the resolver.
    let turns = 0;
    const turning = () => (turns++ === 0 ? [SITE] : ["169.254.169.254"]);
    for (const name of ["turn.example", "a.turn.example"]) outside.names.set(name, turning);
    assert.equal((await outside.ask("/fetch", { to: "http://turn.example/" })).body, "the outside");
    assert.equal((await outside.ask("/fetch", { to: "http://a.turn.example/" })).status, 403);
    assert.ok(outside.connected.slice(before).every((made) => made === `${SITE}:80`));
  });

  test("with private and public addresses leads to the public ones alone", async () => {
    outside.names.set("mixed.example", () => ["127.0.0.1", "10.0.0.1", SITE, "::1"]);
    assert.equal((await outside.ask("/fetch", { to: "http://mixed.example/" })).body, "the outside");
    assert.equal(outside.connected.at(-1), `${SITE}:80`);
  });

  test("of this installation's own pages is refused whatever it leads to", async () => {
    outside.names.set("console.example", () => [SITE]);
    for (const host of ["console.example", "CONSOLE.example."]) {
      const got = await outside.ask("/fetch", { to: `http://${host}/client/v4/accounts` });
      assert.equal(got.status, 403);
      assert.match(got.body, /this installation's own API/);
    }
  });
});
