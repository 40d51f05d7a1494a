// Many questions at once to one account's log: few of them wait, and its end waits for none of these.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Questions } from "../../../src/host/logs/questions.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { bench } from "../../fixtures/capsules.ts";

const LINES = 20_000;
const line = (at: number): string =>
  `{"kind":"console","atMs":${at},"worker":"w","version":"v","ray":null,"level":"log","text":"${"x".repeat(350)}"}\n`;

test("of many questions at once few are answered, and the others are told to come again", async () => {
  await using b = await bench();
  const account = newAccountId();
  const asked = await Promise.allSettled(Array.from({ length: 30 }, () => b.logs.page({ account, limit: 1 })));
  const refused = asked.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
  assert.equal(refused.length, 21);
  for (const reason of refused) {
    assert.ok(reason instanceof PlatformError);
    assert.deepEqual([reason.code, reason.status, reason.retryAfterSeconds], ["too_many_questions", 429, 1]);
  }
  await b.logs.page({ account, limit: 1 });
});

test("the end of a log waits for no question that has not begun, and for little of the one that has", async () => {
  await using b = await bench();
  const account = newAccountId();
  const directory = join(b.accounts, account, "logs");
  await mkdir(directory, { recursive: true });
  const text = Array.from({ length: LINES / 8 }, (_, at) => line(at)).join("");
  for (let seq = 1; seq <= 8; seq++) await writeFile(join(directory, `0000000${seq}.ndjson`), text);
  const ask = () => b.logs.page({ account, limit: 10, text: "not there" });
  const began = performance.now();
  await ask();
  const oneMs = performance.now() - began;
  const asked = Array.from({ length: 9 }, ask);
  const answers = Promise.allSettled(asked);
  await sleep(oneMs / 10);
  const ending = performance.now();
  await b.logs.end(account);
  const endMs = performance.now() - ending;
  assert.ok(endMs < oneMs, `the end took ${endMs} ms, one question ${oneMs} ms`);
  for (const one of await answers) assert.equal(one.status === "rejected" && (one.reason as { code: string }).code, "account_gone");
});

test("one that waits until its time has come holds up no other", async () => {
  const questions = new Questions(() => {});
  const order: string[] = [];
  const ask = (name: string, ready: () => Promise<void>): Promise<void> =>
    questions.ask(ready, async () => {
      order.push(name);
    });
  await Promise.all([ask("late", () => sleep(50)), ask("early", () => Promise.resolve())]);
  assert.deepEqual(order, ["early", "late"]);
});
