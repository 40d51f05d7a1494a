// Every number that stops somebody, against the table of settings: a setting that caps an account must be shown.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { SETTINGS } from "../../../src/config.ts";
import { openOps } from "../../fixtures/operator.ts";

type Row = {
  readonly name: string;
  readonly setting: string | null;
  readonly unit: string;
  readonly temporary: number | string | null;
  readonly claimed: number | string | null;
  readonly what: string;
};

/** What caps an account or its making; all others are about the machine, as are the addresses that it closes. */
const CAPPING = /^MAYFLY_(CAP_|EGRESS_(?!DENY)|CAPSULE_|WORKERS_|UPLOAD_|ASSET_|KV_|D1_|OBJECT_|CRON_|ACCOUNT|POW_|CLAIMS_|DISK_RESERVE_)/;

test("each has its value for both states, and its setting exists", async () => {
  await using ops = await openOps();
  const bearer = await ops.makeKey("read");
  const { result: rows } = await ops.call<Row[]>("GET", "/operator/caps", { bearer });
  const settings = Object.values(SETTINGS).map(({ name }) => name);
  for (const { name, setting, what, unit } of rows) {
    assert.ok(what.length > 0 && unit.length > 0, name);
    assert.ok(setting === null || settings.includes(setting), `${name}: ${setting}`);
  }
  const told = rows.map(({ setting, what }) => `${setting} ${what}`).join("\n");
  for (const name of settings.filter((name) => CAPPING.test(name))) assert.match(told, new RegExp(`\\b${name}\\b`), `${name} is not shown`);
  assert.equal(new Set(rows.map(({ name }) => name)).size, rows.length);
  const row = (name: string) => rows.find((one) => one.name === name);
  assert.deepEqual([row("workers.scripts")?.temporary, row("workers.scripts")?.claimed], [5, 25]);
  assert.deepEqual([row("caps.requests")?.temporary, row("caps.requests")?.claimed], [null, null], "0 is no cap");
  assert.deepEqual([row("egress.ports")?.temporary, row("egress.ports")?.claimed], ["80,443", "any"]);
  const page = await ops.visit("/operations/caps");
  for (const { what } of rows) assert.ok(page.text.includes(what.replaceAll("'", "&#39;")), what);
});

test("docs/operator.md names every setting that caps somebody", () => {
  const text = readFileSync(new URL("../../../docs/operator.md", import.meta.url), "utf8");
  const known = Object.values(SETTINGS).map(({ name }) => name);
  for (const name of known.filter((name) => CAPPING.test(name))) assert.ok(text.includes(name), `${name} is missing`);
  for (const [name] of text.matchAll(/\bMAYFLY_[A-Z0-9_]+\b/g)) assert.ok(known.includes(name), `${name} does not exist`);
});
