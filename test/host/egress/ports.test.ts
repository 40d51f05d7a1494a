// Ports: those that the account's limits name now, and a few that nobody's name.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { MAIL_PORTS, neverOpen } from "../../../src/capsule/never-open.ts";
import { openOutside, PUBLIC, type Outside } from "./outside.ts";

let outside: Outside;

before(async () => {
  outside = await openOutside();
});

after(() => outside[Symbol.asyncDispose]());

beforeEach(() => {
  outside.limits.egress = { ports: [80, 443], maxConnections: 64 };
});

const fetched = (to: string) => outside.ask("/fetch", { to });

describe("ports", () => {
  test("that are closed are named as such, by fetch() and connect() alike, before anything is looked up", async () => {
    const before = outside.connected.length;
    for (const port of [1, 22, 81, 3306, 5432, 6379, 8080, 65_535]) {
      const got = await fetched(`http://nowhere.example:${port}/`);
      assert.equal(got.status, 403);
      assert.match(got.body, /only the ports 80 and 443 are open/);
      const refused = await outside.ask("/connect", { to: `nowhere.example:${port}` });
      assert.deepEqual([refused.status, refused.body.slice(0, 6)], [599, "threw "]);
    }
    assert.equal(outside.connected.length, before);
    assert.equal(outside.noted.at(-1)?.reason, "A Worker's way out was refused: only the ports 80 and 443 are open.");
  });

  test("open and close while the Worker runs, as the account's limits change", async () => {
    assert.equal((await fetched("http://example.com:8080/")).status, 403);
    outside.limits.egress = { ports: "any", maxConnections: 64 };
    assert.equal((await fetched("http://example.com:8080/")).body, "the outside");
    assert.equal((await outside.ask("/connect", { to: "example.com:5432" })).body, "ping pong");
    outside.limits.egress = { ports: [8080], maxConnections: 64 };
    assert.equal((await fetched("http://example.com:8080/")).body, "the outside");
    assert.match((await fetched("http://example.com/")).body, /only the port 8080 is open/);
    outside.limits.egress = { ports: [], maxConnections: 64 };
    assert.match((await fetched("http://example.com:8080/")).body, /no port is open/);
  });

  test("of mail, and those that worms live from, are closed to everybody, though any or they themselves are opened", async () => {
    const never = [25, 465, 587, 2525, 23, 135, 137, 138, 139, 445];
    for (const ports of ["any", never] as const) {
      outside.limits.egress = { ports: ports === "any" ? ports : [...ports], maxConnections: 64 };
      const before = outside.connected.length;
      for (const port of never) {
        const got = await fetched(`http://example.com:${port}/`);
        assert.equal(got.status, 403, String(port));
        assert.match(got.body, MAIL_PORTS.has(port) ? /mail is never sent from here/ : /never open to Workers/);
        for (const host of ["example.com", PUBLIC, "[::ffff:93.184.215.14]"]) {
          assert.equal((await outside.ask("/connect", { to: `${host}:${port}` })).status, 599, `${host}:${port}`);
          assert.equal((await outside.direct(`${host}:0${port}`, "CONNECT")).status, 403, `${host}:0${port}`);
        }
      }
      assert.equal(outside.connected.length, before);
    }
    for (const open of [80, 443, 22, 24, 26, 993, 5432]) assert.equal(neverOpen(open), null);
  });
});
