import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openKeys } from "../../../src/control/keys/keys.ts";
import { sealedCookie } from "../../../src/control/http/sealed-cookie.ts";
import { testClock } from "../../fixtures/databases.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const SECRET = "mfc_something-secret";

async function jar(origin: string, name = "mayfly_claim", path = "/claim") {
  const directory = await temporaryDirectory("cookie");
  const clock = testClock();
  const keys = openKeys({ data: directory.path, masterKey: "00".repeat(32) });
  const cookie = sealedCookie({ keys, clock, url: new URL(origin), name, path, maxAgeSeconds: 1800 });
  return { cookie, clock, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

const sent = (cookie: string): Headers => new Headers({ cookie: `a=b; ${cookie.split(";")[0]}; c=d` });

describe("a sealed cookie", () => {
  test("comes back as it was set, and does not show what it holds", async () => {
    await using plain = await jar("http://localhost:8787");
    const header = await plain.cookie.set(SECRET);
    assert.match(header, /^mayfly_claim=[\w.-]+; Max-Age=1800; Path=\/claim; HttpOnly; SameSite=Lax$/);
    assert.ok(!header.includes(SECRET) && !header.includes(Buffer.from(SECRET).toString("base64url").slice(0, 12)));
    assert.equal(await plain.cookie.read(sent(header)), SECRET);
  });

  test("is Secure, and can be set by TLS alone, where there is TLS", async () => {
    await using tls = await jar("https://mayfly.example");
    assert.match(
      await tls.cookie.set(SECRET),
      /^__Secure-mayfly_claim=[\w.-]+; Max-Age=1800; Path=\/claim; HttpOnly; SameSite=Lax; Secure$/,
    );
  });

  test("of every path is bound by its name to the host, where there is TLS", async () => {
    await using tls = await jar("https://mayfly.example", "mayfly_passkey", "/");
    const header = await tls.cookie.set(SECRET);
    assert.match(header, /^__Host-mayfly_passkey=[\w.-]+; Max-Age=1800; Path=\/; HttpOnly; SameSite=Lax; Secure$/);
    assert.equal(await tls.cookie.read(sent(header)), SECRET);
    assert.equal(await tls.cookie.read(sent(header.replace("__Host-", "__Secure-"))), null, "nor is it taken by a weaker name");
  });

  test("is nothing when it is late, changed, or another cookie's", async () => {
    await using plain = await jar("http://localhost:8787");
    await using other = await jar("http://localhost:8787", "mayfly_operator");
    const header = await plain.cookie.set(SECRET);
    const value = header.slice("mayfly_claim=".length).split(";")[0] ?? "";
    assert.equal(await other.cookie.read(new Headers({ cookie: `mayfly_operator=${value}` })), null);
    assert.equal(await plain.cookie.read(new Headers({ cookie: `mayfly_claim=${value.slice(0, -2)}AA` })), null);
    assert.equal(await plain.cookie.read(new Headers({ cookie: `mayfly_claim=${SECRET}` })), null);
    assert.equal(await plain.cookie.read(new Headers()), null);
    plain.clock.advance(1_802_000);
    assert.equal(await plain.cookie.read(sent(header)), null);
  });
});
