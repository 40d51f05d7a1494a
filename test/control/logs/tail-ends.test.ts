// Who may end a tail, and whom the trail names for its end. Host is scripted; tokens, sockets and the trail are real.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { CONNECT_WITHIN_SECONDS } from "../../../src/control/logs/tail-capability.ts";
import type { Action } from "../../../src/control/permissions/actions.ts";
import { onWholeAccount, type Permission } from "../../../src/control/permissions/authorize.ts";
import { openTokens } from "../../../src/control/tokens/tokens.ts";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { openDesk, type Desk } from "../../fixtures/desk.ts";
import { openRaw, type RawSocket } from "../../fixtures/raw-socket.ts";
import type { Tenant } from "../../fixtures/tenant.ts";

let desk: Desk;
before(async () => void (desk = await openDesk()));
after(() => desk[Symbol.asyncDispose]());

type Holder = { readonly id: string; readonly authorization: string };
type Made = { readonly id: string; readonly url: string };

async function newcomer(at: Desk = desk): Promise<Tenant> {
  const tenant = await at.tenant();
  await tenant.deploy("w", "export default { fetch() { return new Response('hi') } };");
  return tenant;
}

async function holder(tenant: Tenant, task: string, permissions: Permission[]): Promise<Holder> {
  const row = { account: tenant.id as AccountId, person: null, name: task, permissions, task, epoch: 1, expiresAtMs: null };
  const { id, secret } = await desk.control.store.transaction((tx) => openTokens(desk.control).issue(tx, row));
  return { id, authorization: `Bearer ${secret}` };
}
const may = (actions: readonly Action[]): Permission[] => onWholeAccount(actions);

async function make(tenant: Tenant, by?: Holder): Promise<Made> {
  const path = `/accounts/${tenant.id}/workers/scripts/w/tails`;
  const answer = await tenant.call<Made>("POST", path, "{}", by && { authorization: by.authorization });
  assert.equal(answer.status, 200, answer.message);
  return answer.result;
}

const remove = (tenant: Tenant, made: Made, by?: Holder) =>
  tenant.call("DELETE", `/accounts/${tenant.id}/workers/scripts/w/tails/${made.id}`, undefined, by && { authorization: by.authorization });

async function connect({ port }: Desk, made: Made): Promise<RawSocket> {
  const { pathname, search } = new URL(made.url);
  const client = openRaw({ port, path: pathname + search });
  assert.match(await client.head, /^HTTP\/1\.1 101 /);
  return client;
}

type Line = { readonly actors: unknown; readonly token: string | null; readonly task: string | null; readonly reason: string | null };

async function linesOf({ control }: Desk, tenant: Tenant, action: string): Promise<Line[]> {
  const rows = await control.store.db
    .selectFrom("trail")
    .select(["actors", "token_id", "task_id", "reason"])
    .where("account_id", "=", tenant.id as AccountId)
    .where("action", "=", action)
    .execute();
  return rows.map((row) => ({ actors: JSON.parse(row.actors) as unknown, token: row.token_id, task: row.task_id, reason: row.reason }));
}

async function endOf(at: Desk, tenant: Tenant): Promise<Line> {
  const ended = async (): Promise<Line | undefined> => (await linesOf(at, tenant, "tails:end"))[0];
  return await awaitUntil(ended, { what: "the end is in the trail" });
}

describe("The end of a tail", () => {
  test("by DELETE is in the trail as a deed of the token that sent it", async () => {
    const tenant = await newcomer();
    const other = await holder(tenant, "another-task", may(["logs:read", "workers:write"]));
    const made = await make(tenant);
    assert.equal((await remove(tenant, made, other)).status, 200);
    const [opened] = await linesOf(desk, tenant, "tails:open");
    const ended = await endOf(desk, tenant);
    assert.deepEqual([ended.token, ended.task, ended.reason], [other.id, "another-task", "The tail was deleted."]);
    assert.notEqual(opened?.token, other.id);
    assert.notDeepEqual(ended.actors, ["mayfly"]);
  });

  test("by its client is its opener's", async () => {
    const tenant = await newcomer();
    const client = await connect(desk, await make(tenant));
    client.socket.end();
    const [[opened], ended] = [await linesOf(desk, tenant, "tails:open"), await endOf(desk, tenant)];
    assert.equal(ended.reason, "The client closed it.");
    assert.ok(ended.token);
    assert.deepEqual({ ...ended, reason: null }, opened);
  });

  test("that nobody asked for is this installation's own", async () => {
    const ways: [reason: RegExp, act: (at: Desk, tenant: Tenant, made: Made) => unknown][] = [
      [/^nobody connected$/, (at) => at.clock.advance(CONNECT_WITHIN_SECONDS * 1000)],
      [
        /has ended/,
        async (at, tenant, made) => {
          await connect(at, made);
          await tenant.call("DELETE", `/accounts/${tenant.id}`);
        },
      ],
      [
        /is over|has ended|expired/,
        async (at, _, made) => {
          await connect(at, made);
          at.clock.advance(3_600_000);
        },
      ],
      [/^The server stops\.$/, (at) => at.close()],
    ];
    for (const [reason, act] of ways) {
      await using at = await openDesk();
      const tenant = await newcomer(at);
      await act(at, tenant, await make(tenant));
      const ended = await endOf(at, tenant);
      assert.match(ended.reason ?? "", reason);
      assert.deepEqual([ended.actors, ended.token], [["mayfly"], null], ended.reason ?? "");
    }
  });
});

describe("Another token's tail", () => {
  test("is ended only with workers:write on the Worker, and a reader ends its own", async () => {
    const tenant = await newcomer();
    const on = (id: string): Permission[] => [
      ...may(["logs:read"]),
      { action: "workers:write", resource: { product: "workers", id }, conditions: [] },
    ];
    const reader = await holder(tenant, "reader", may(["logs:read"]));
    const elsewhere = await holder(tenant, "elsewhere", on("v"));
    const writer = await holder(tenant, "writer", on("w"));
    const made = await make(tenant);
    for (const who of [reader, elsewhere]) {
      const refused = await remove(tenant, made, who);
      assert.deepEqual([refused.status, refused.code], [403, 9109], "forbidden");
      assert.match(refused.message, /does not hold workers:write on workers\/w\./);
    }
    assert.deepEqual(await linesOf(desk, tenant, "tails:end"), []);
    const own = await make(tenant, reader);
    assert.equal((await remove(tenant, own, reader)).status, 200);
    assert.equal((await remove(tenant, own, reader)).status, 200, "again");
    assert.equal((await remove(tenant, made, writer)).status, 200);
    assert.equal((await remove(tenant, await make(tenant, reader))).status, 200, "the account's first token may all");
  });
});
