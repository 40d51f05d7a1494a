// What docs/secrets.md tells scanners is what the code issues; and secrets are found and taken out in whatever spelling.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isSecret, newSecret, type SecretKind } from "../../src/kernel/ids.ts";
import { findSecrets, redactSecrets } from "../../src/kernel/secrets.ts";

const KINDS = ["mft", "mfc", "mfo", "mfi", "mfk"] as const satisfies readonly SecretKind[];
const page = readFileSync(new URL("../../docs/secrets.md", import.meta.url), "utf8");

/** CRC-32 bit by bit, as the page describes it: no code of ours. */
function crc32(text: string): number {
  let rest = 0xffffffff;
  for (const byte of Buffer.from(text, "ascii")) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  }
  return (rest ^ 0xffffffff) >>> 0;
}

const rows = [...page.matchAll(/^\| `(mf[a-z])_` \|.*\| `([^`]+)` \|$/gm)].map(([, kind = "", expression = ""]) => ({ kind, expression }));

const percent = (text: string): string => Array.from(Buffer.from(text), (byte) => `%${byte.toString(16)}`).join("");

describe("docs/secrets.md", () => {
  test("has a row for every kind of secret that is issued", () => {
    const source = readFileSync(new URL("../../src/kernel/ids.ts", import.meta.url), "utf8");
    const declared = [...(/type SecretKind = (.*);/.exec(source)?.[1]?.matchAll(/"(\w+)"/g) ?? [])].map(([, kind]) => kind);
    assert.deepEqual(
      rows.map(({ kind }) => kind),
      declared,
    );
    assert.deepEqual(declared, [...KINDS]);
  });

  test("tells an expression and a checksum that a thousand secrets of each kind meet", () => {
    const all = new RegExp(/All in one: `([^`]+)`/.exec(page)?.[1] ?? "(?!)");
    for (const { kind, expression } of rows) {
      for (let round = 0; round < 1000; round++) {
        const secret = newSecret(kind as SecretKind);
        for (const form of [new RegExp(expression), all]) assert.equal(form.exec(`key="${secret}"`)?.[0], secret);
        assert.equal(crc32(secret.slice(0, 54)).toString(36).padStart(7, "0"), secret.slice(54));
      }
      for (const other of KINDS) if (other !== kind) assert.doesNotMatch(newSecret(other), new RegExp(expression));
    }
  });

  test("gives a worked example that is right, and patterns for scanners that find it", () => {
    const [body, crc, check, secret] = ["body", "CRC-32", "base 36", "secret"].map(
      (name) => new RegExp(`^${name} +(\\S+)$`, "m").exec(page)?.[1] ?? "",
    );
    assert.equal(String(crc32(body ?? "")), crc);
    assert.equal(Number(crc).toString(36).padStart(7, "0"), check);
    assert.equal(`${body}${check}`, secret);
    assert.ok(isSecret("mft", secret ?? ""));
    const patterns = [/regex = '''(.+)'''/, /secret: '(.+)'/, /Secret format +(\S+)/].map((form) => form.exec(page)?.[1] ?? "(?!)");
    for (const pattern of patterns) assert.equal(new RegExp(pattern).exec(`x ${secret} y`)?.[0], secret, pattern);
  });

  test("gives a program that tells secrets from what only looks like them", (context) => {
    const program = /```python\n([\s\S]+?)```/.exec(page)?.[1] ?? assert.fail("there is no program");
    const good = KINDS.map((kind) => newSecret(kind));
    const bad = good.map((secret) => secret.slice(0, 10) + (secret[10] === "a" ? "b" : "a") + secret.slice(11));
    const call = `import sys\nprint([is_secret(text) for text in sys.argv[1:]])`;
    const run = spawnSync("python3", ["-c", `${program}\n${call}`, ...good, ...bad], { encoding: "utf8" });
    if (run.error) return context.skip("there is no python3 here");
    assert.equal(run.stdout.trim(), `[${[...good.map(() => "True"), ...bad.map(() => "False")].join(", ")}]`, run.stderr);
  });
});

describe("a secret in other text", () => {
  test("is found and taken out however an address spells it", () => {
    for (const kind of KINDS) {
      const secret = newSecret(kind);
      const upper = secret.toUpperCase();
      const spelled = [secret, percent(secret), percent(secret).toUpperCase(), secret.replace("_", "%5F"), upper];
      assert.deepEqual(findSecrets(`/${percent(percent(secret))}`), [secret]);
      for (const text of [...spelled, encodeURIComponent(encodeURIComponent(percent(secret)))]) {
        const address = `/a/b?x=1&y=${text}&z=%20`;
        assert.deepEqual(findSecrets(address), [secret], address);
        assert.equal(redactSecrets(`/a?y=${text}.`), `/a?y=${kind}_[redacted].`, address);
      }
    }
  });

  test("is found among letters and beside others, once each", () => {
    const [one, other] = [newSecret("mft"), newSecret("mfc")];
    assert.deepEqual(findSecrets(`x${one}y/mft_${one}?${other}=${one}&mft_`), [one, other]);
    assert.equal(redactSecrets(`${one},${other}`), "mft_[redacted],mfc_[redacted]");
  });

  test("is not hidden by what stands before it and only begins like one", () => {
    const secret = newSecret("mft");
    for (let digits = 0; digits <= 57; digits++) {
      const before = `/mfa_${"a".repeat(digits)}`;
      assert.deepEqual(findSecrets(before + secret), [secret], before);
      assert.ok(!redactSecrets(`${before}${secret}.`).includes(secret.slice(4)), before);
      assert.ok(redactSecrets(`${before}${secret}.`).endsWith("_[redacted]."), before);
    }
    assert.deepEqual(findSecrets(`/mfa_${secret.replace("_", "%5f")}`), [secret]);
  });

  test("with a wrong checksum is taken out, but nobody is told that it is one", () => {
    const secret = newSecret("mft");
    const wrong = secret.slice(0, -1) + (secret.endsWith("0") ? "1" : "0");
    assert.deepEqual(findSecrets(wrong), []);
    assert.equal(redactSecrets(wrong), "mft_[redacted]");
  });

  test("is the only thing that is ever changed", () => {
    const parts = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("%", "%25", "%6d", "mft_", "_", "%2541"));
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 40 }), (pieces) => {
        const text = pieces.join("");
        assert.equal(redactSecrets(text), text);
        assert.deepEqual(findSecrets(text), []);
      }),
    );
  });

  test("does not come into a log of this process by any way", () => {
    const secrets = KINDS.map((kind) => newSecret(kind));
    const log = fileURLToPath(new URL("../../src/kernel/log.ts", import.meta.url));
    const program = `
      const { createLog } = await import(${JSON.stringify(log)});
      const log = createLog("test", "trace");
      const [token, claim, first, invitation, key] = process.argv.slice(1);
      log.info({ url: "/x?" + token, deep: { deeper: [{ deepest: claim }] } }, "opened " + invitation);
      log.error({ err: new Error("broken by " + first, { cause: new Error("%6dft_" + token.slice(4)) }) });
      log.child({ bound: token }).trace({ [key]: 1 }, "below");
    `;
    const run = spawnSync(process.execPath, ["--input-type=module", "-e", program, ...secrets], { encoding: "utf8" });
    assert.equal(run.status, 0, run.stderr);
    assert.equal(run.stderr.trim().split("\n").length, 3, run.stderr);
    for (const line of run.stderr.trim().split("\n")) JSON.parse(line);
    for (const secret of secrets) assert.ok(!run.stderr.includes(secret.slice(4, 54)), run.stderr);
    for (const kind of KINDS) assert.ok(run.stderr.includes(`${kind}_[redacted]`), run.stderr);
  });
});
