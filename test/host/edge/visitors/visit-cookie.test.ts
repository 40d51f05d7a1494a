// The cookie that lets a visitor pass: whose it is, how long, and what nobody can make of it.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { isOwnPath, returnPath } from "../../../../src/host/edge/visitors/return-path.ts";
import { hasVisited, setsVisit, visitCookie, withoutVisit } from "../../../../src/host/edge/visitors/visit-cookie.ts";
import { readVisitKey } from "../../../../src/host/edge/visitors/visit-key.ts";
import { temporaryDirectory } from "../../../fixtures/temporary-directory.ts";

const KEY = randomBytes(32);
const HOST = "hello--quiet-otter-x7k2p.mayfly.localhost";
const NOW = 1_800_000_000_000;
const UNTIL = NOW + 600_000;

const cookieOf = (header: string): string => header.split(";")[0] ?? "";
const made = cookieOf(visitCookie(KEY, HOST, false, NOW, UNTIL));
const value = made.slice(made.indexOf("=") + 1);
const passes = (header: string | undefined, more: { key?: Uint8Array; host?: string; secure?: boolean; at?: number } = {}): boolean =>
  hasVisited(more.key ?? KEY, more.host ?? HOST, more.secure ?? false, more.at ?? NOW, header);

describe("a cookie of a visit", () => {
  test("is bound to its host alone and to a time, and out of reach of scripts", () => {
    const plain = visitCookie(KEY, HOST, false, NOW, UNTIL);
    assert.match(plain, /^mayfly_visit=[0-9a-z]+\.[\w-]{43}; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/);
    const secure = visitCookie(KEY, HOST, true, NOW, UNTIL);
    assert.match(secure, /^__Host-mayfly_visit=\S+; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax; Secure$/);
  });

  test("lets its visitor pass at its host until its time, among other cookies", () => {
    assert.ok(passes(made));
    assert.ok(passes(`a=b; ${made};c="d"`));
    assert.ok(passes(made, { at: UNTIL - 1 }));
    assert.ok(!passes(made, { at: UNTIL }));
    assert.ok(passes(cookieOf(visitCookie(KEY, HOST, true, NOW, UNTIL)), { secure: true }));
  });

  test("is worth nothing at another host, under another key, forged, cut short, twice or by another name", () => {
    assert.ok(!passes(undefined));
    assert.ok(!passes(made, { host: `other--${HOST.slice(7)}` }));
    assert.ok(!passes(made, { key: randomBytes(32) }));
    assert.ok(!passes(made, { secure: true }), "on https only the name that browsers guard counts");
    assert.ok(!passes(`${made}; ${made}`));
    assert.ok(!passes(`${made}; mayfly_visit=x`));
    for (let length = 0; length < made.length; length++) assert.ok(!passes(made.slice(0, length)));
    for (let at = 0; at < value.length; at++) {
      const other = value[at] === "A" ? "B" : "A";
      assert.ok(!passes(`mayfly_visit=${value.slice(0, at)}${other}${value.slice(at + 1)}`), `character ${at}`);
    }
    const [, mac = ""] = value.split(".");
    const later = Math.floor(UNTIL / 1000 + 3600).toString(36);
    for (const forged of [`${later}.${mac}`, `.${mac}`, `${value}x`, `${value}.${mac}`, `"${value}"`, "", ".", "1.2"]) {
      assert.ok(!passes(`mayfly_visit=${forged}`), forged);
    }
    assert.ok(!passes(`MAYFLY_VISIT=${value}`));
  });

  test("never reaches a Worker, however it is spelled", () => {
    assert.equal(withoutVisit("a=b; c=d"), "a=b; c=d");
    assert.equal(withoutVisit(made), null);
    assert.equal(withoutVisit(`a=b; ${made}; c=d`), "a=b; c=d");
    for (const name of [
      "__Host-mayfly_visit",
      "__host-Mayfly_Visit",
      "__Secure-mayfly_visit",
      "__Host-Http-mayfly_visit",
      " mayfly_visit ",
    ]) {
      assert.equal(withoutVisit(`${name}=1;x=y;;${name}=2`), "x=y", name);
    }
    assert.equal(withoutVisit("mayfly_visit; =mayfly_visit=1; x=y"), "x=y");
    assert.equal(withoutVisit("not_mayfly_visit=1; x=mayfly_visit"), "not_mayfly_visit=1; x=mayfly_visit");
  });

  test("is never set by a Worker, however it is spelled", () => {
    for (const header of [
      "mayfly_visit=1",
      "__Host-mayfly_visit=1; Secure; Path=/",
      " __HOST-MAYFLY_VISIT = 1",
      "__Secure-mayfly_visit=1",
      // Browsers keep a nameless cookie and send its value, which reads as ours.
      "=mayfly_visit=1",
      " = =mayfly_visit=1",
      "mayfly_visit",
      "=mayfly_visit",
    ]) {
      assert.ok(setsVisit(header), header);
    }
    for (const header of ["x=mayfly_visit=1", "my_mayfly_visit=1", "a=b; mayfly_visit=1"]) assert.ok(!setsVisit(header), header);
  });
});

describe("where a visitor goes on", () => {
  test("is a path of the same host", () => {
    for (const path of ["/", "/a/b?c=d&e=/%2f", "/?to=//evil.example", "/a//b", "/%5cevil", "/.//evil.example"])
      assert.ok(isOwnPath(path), path);
    const elsewhere = ["", "a", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "/a\\b"];
    for (const path of [
      ...elsewhere,
      "https://evil.example/",
      "javascript:alert(1)",
      " /a",
      "/a b",
      "/\u0000",
      "/ä",
      "?a",
      `/${"a".repeat(9000)}`,
    ]) {
      assert.ok(!isOwnPath(path), JSON.stringify(path));
    }
  });

  test("is named once in the query", () => {
    assert.equal(returnPath("/cdn-cgi/mayfly/continue?to=%2Fa%3Fb%3Dc"), "/a?b=c");
    assert.equal(returnPath("/cdn-cgi/mayfly/continue"), null);
    assert.equal(returnPath("/cdn-cgi/mayfly/continue?to=/a&to=/b"), null);
  });
});

test("the key is drawn once for an installation, is nobody else's to read, and a broken one is made anew", async () => {
  await using directory = await temporaryDirectory("visit-key");
  const key = readVisitKey(directory.path);
  assert.deepEqual(readVisitKey(directory.path), readFileSync(join(directory.path, "visits.key")));
  assert.deepEqual(new Uint8Array(readVisitKey(directory.path)), new Uint8Array(key));
  assert.equal(statSync(join(directory.path, "visits.key")).mode & 0o777, 0o600);
  writeFileSync(join(directory.path, "visits.key"), "short");
  const other = readVisitKey(directory.path);
  assert.equal(other.length, 32);
  assert.notDeepEqual(new Uint8Array(other), new Uint8Array(key));
  mkdirSync(join(directory.path, "elsewhere"));
  assert.notDeepEqual(new Uint8Array(readVisitKey(join(directory.path, "elsewhere"))), new Uint8Array(other));
});
