// Cron triggers with the real host: a cold capsule is started for them, and what the handler did is in its log.
import assert from "node:assert/strict";
import { test } from "node:test";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { testClock } from "../../fixtures/databases.ts";
import { openHouse, uploadBody, type House, type Provisioned } from "../../fixtures/house.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const MINUTE = 60_000;
const FIRED = `export default {
  fetch: () => new Response("here"),
  scheduled: async ({ cron, scheduledTime }) => console.log("fired", cron, scheduledTime) };`;
const NO_HANDLER = `export default { fetch: () => new Response("here") };`;

type LogRecord = {
  readonly kind: string;
  readonly trigger?: string;
  readonly outcome?: string;
  readonly message?: string;
  readonly text?: string;
};
type Account = Provisioned["account"];

const logs = async (house: House, { id, apiToken: token }: Account): Promise<readonly LogRecord[]> =>
  (await house.call<LogRecord[]>("GET", `/accounts/${id}/logs?limit=1000`, { token })).result;
/** What the handlers said, newest first. */
const said = async (house: House, account: Account): Promise<string[]> =>
  (await logs(house, account)).filter(({ kind }) => kind === "console").map(({ text }) => text ?? "");

async function deployed(house: House, code: string): Promise<Account> {
  const { account } = await house.provision();
  const script = `/accounts/${account.id}/workers/scripts/w`;
  const put = await house.call("PUT", script, { token: account.apiToken, body: uploadBody(code) });
  assert.equal(put.status, 200, put.errors[0]?.message);
  const body = '[{"cron":"* * * * *"}]';
  const set = await house.call("PUT", `${script}/schedules`, { token: account.apiToken, body });
  assert.equal(set.status, 200, set.errors[0]?.message);
  return account;
}

const nextMinute = ({ clock }: House): number => Math.floor(clock.now() / MINUTE) * MINUTE + MINUTE;
const isHot = async (house: House, { id }: Account): Promise<boolean> => (await house.host.capsuleHost.usage(id as never)).hot;

test("a cron trigger starts a cold capsule at its minute, and after a restart of both wings it is set off once for all it missed", async () => {
  await using directory = await temporaryDirectory("wakes");
  const options = { directory: directory.path, clock: testClock(), ttlSeconds: 3600 };
  let account: Account;
  {
    await using house = await openHouse(options);
    account = await deployed(house, FIRED);
  }
  let due: number;
  {
    await using house = await openHouse(options);
    due = nextMinute(house);
    house.clock.advance(due - house.clock.now() - 1);
    await house.control.wakes.round();
    assert.equal(await isHot(house, account), false);
    house.clock.advance(1);
    await house.control.wakes.round();
    await house.control.wakes.round();
    assert.equal(await isHot(house, account), true);
    await awaitUntil(async () => (await said(house, account)).length > 0, { what: "the handler's line is in the log" });
    assert.deepEqual(await said(house, account), [`fired * * * * * ${due}`]);
  }
  options.clock.advance(3 * MINUTE + 7000);
  await using house = await openHouse(options);
  // Nobody asks it to: its first look is at start.
  await awaitUntil(async () => (await said(house, account)).length > 1, { what: "what was missed is set off" });
  await house.control.wakes.round();
  assert.deepEqual(await said(house, account), [`fired * * * * * ${due + 3 * MINUTE}`, `fired * * * * * ${due}`]);
});

test("a Worker without a scheduled handler takes a cron trigger, and its log says that nothing could run", async () => {
  await using directory = await temporaryDirectory("wakes");
  await using house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
  const account = await deployed(house, NO_HANDLER);
  house.clock.advance(nextMinute(house) - house.clock.now());
  await house.control.wakes.round();
  const exception = await awaitUntil(async () => (await logs(house, account)).find(({ kind }) => kind === "exception"), {
    what: "the failure is in the log",
  });
  assert.match(exception.message ?? "", /scheduled/);
  const invocation = (await logs(house, account)).find(({ kind }) => kind === "invocation");
  assert.deepEqual([invocation?.trigger, invocation?.outcome], ["scheduled", "exception"]);
});

test("host that is away for a while gets the occurrence once it is back", async () => {
  await using directory = await temporaryDirectory("wakes");
  await using house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
  const account = await deployed(house, FIRED);
  const due = nextMinute(house);
  house.faults.hostDown = true;
  house.clock.advance(due - house.clock.now());
  await house.control.wakes.round();
  house.faults.hostDown = false;
  house.clock.advance(2000);
  await house.control.wakes.round();
  await awaitUntil(async () => (await said(house, account)).length > 0, { what: "the handler's line is in the log" });
  house.clock.advance(2000);
  await house.control.wakes.round();
  assert.deepEqual(await said(house, account), [`fired * * * * * ${due}`]);
});

test("an account that ends at the minute is not set off any more", async () => {
  await using directory = await temporaryDirectory("wakes");
  await using house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
  const account = await deployed(house, FIRED);
  const other = await deployed(house, FIRED);
  assert.equal((await house.call("DELETE", `/accounts/${account.id}`, { token: account.apiToken })).status, 200);
  house.clock.advance(nextMinute(house) - house.clock.now());
  await house.control.wakes.round();
  await awaitUntil(async () => (await said(house, other)).length === 1, { what: "the other one's line is in its log" });
  const rows = await house.control.store.db.selectFrom("worker_crons").select("account_id").execute();
  assert.deepEqual(
    rows.map(({ account_id }) => account_id),
    [other.id],
  );
});
