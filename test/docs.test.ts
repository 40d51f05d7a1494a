import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { SETTINGS } from "../src/config.ts";
import { openHouse } from "./fixtures/house.ts";
import { temporaryDirectory } from "./fixtures/temporary-directory.ts";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

test("docs/api.md has every route with what it needs, and no other", async () => {
  await using directory = await temporaryDirectory("docs");
  await using house = await openHouse({ directory: directory.path, sandbox: "auto" });
  const wanted = house.control.routes.map(({ method, path, access }) => {
    const needs = access.kind === "action" ? `\`${access.action}\`` : `${access.kind}: ${access.why}`;
    return `| \`${method} ${path}\` | ${needs} |`;
  });
  const written = read("docs/api.md")
    .split("\n")
    .filter((line) => /^\| `[A-Z]+ \//.test(line));
  assert.deepEqual(written.toSorted(), wanted.toSorted());
});

test("every setting that a document names exists", () => {
  const known: ReadonlySet<string> = new Set(Object.values(SETTINGS).map(({ name }) => name));
  for (const path of ["README.md", "docs/security.md", "docs/api.md"]) {
    for (const [name] of read(path).matchAll(/\bMAYFLY_[A-Z0-9_]+\b/g)) assert.ok(known.has(name), `${path} names ${name}`);
  }
});

test("every file that a document links to is there", () => {
  for (const path of [
    "README.md",
    "SECURITY.md",
    "docs/security.md",
    "docs/api.md",
    "docs/bench.md",
    "docs/compatibility.md",
    "docs/secrets.md",
  ]) {
    const at = new URL(`../${path}`, import.meta.url);
    for (const [, link = ""] of read(path).matchAll(/\]\((?!https?:)([^)#\s]+)/g)) {
      assert.ok(existsSync(new URL(link, at)), `${path} links to ${link}`);
    }
  }
});
