import assert from "node:assert/strict";
import { test } from "node:test";
import { Hono } from "hono";
import { pino } from "pino";
import { createApp, type AppOptions } from "../../../src/control/app.ts";
import type { Env } from "../../../src/control/http/api.ts";
import { newSecret } from "../../../src/kernel/ids.ts";
import { redactSecrets } from "../../../src/kernel/secrets.ts";

test("what nobody foresaw is told without its words, and logged without the secrets in it", async (t) => {
  const secret = newSecret("mft");
  const lines: string[] = [];
  const stray = t.mock.method(console, "error", () => undefined);
  const fails = (): never => {
    throw new TypeError(`Invalid URL: http://x/${secret}`);
  };
  const app = createApp({
    api: new Hono<Env>(),
    pages: new Hono<Env>().get("/page", fails),
    host: { status: fails },
    url: new URL("http://localhost:8787"),
    databaseAnswers: fails,
    endLeaked: () => Promise.resolve(),
    log: pino({ hooks: { streamWrite: redactSecrets } }, { write: (line: string) => void lines.push(line) }),
  } as unknown as AppOptions);
  const headers = { host: "localhost:8787" };
  const health = await app.request("http://localhost:8787/healthz", { headers }, {});
  assert.deepEqual([health.status, ((await health.json()) as { errors: { code: number }[] }).errors[0]?.code], [500, 10013]);
  const page = await app.request("http://localhost:8787/page", { headers }, {});
  assert.deepEqual(
    [page.status, page.headers.get("content-type"), page.headers.get("cache-control")],
    [500, "text/html; charset=utf-8", "no-store"],
  );
  assert.ok(!(await page.text()).includes("Invalid URL"));
  assert.match(page.headers.get("cf-ray") ?? "", /^[0-9a-f]{16}-MAY$/);
  assert.ok(lines[1]?.includes(page.headers.get("cf-ray") ?? "?"));
  assert.equal(lines.length, 2);
  assert.match(lines.join(""), /Invalid URL: http:\/\/x\/mft_\[redacted\]/);
  assert.equal(stray.mock.callCount(), 0);
});
