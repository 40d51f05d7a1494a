// What a caller of the API is told, each case by its code in the table of errors.
import assert from "node:assert/strict";
import { test } from "node:test";
import { sql } from "kysely";
import { refusalOf } from "../../../src/control/accounts/claim.ts";
import { ERRORS, PlatformError, type ErrorCode } from "../../../src/kernel/errors.ts";
import { openHouse, type House } from "../../fixtures/house.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

async function house(body: (house: House) => Promise<void>): Promise<void> {
  await using directory = await temporaryDirectory("api");
  await using opened = await openHouse({ directory: directory.path });
  await body(opened);
}

function assertRefused(
  answer: { status: number; success: boolean; errors: readonly { code: number; message: string }[] },
  code: ErrorCode,
): void {
  assert.equal(answer.success, false);
  assert.equal(answer.status, ERRORS[code].status, JSON.stringify(answer.errors));
  assert.equal(answer.errors[0]?.code, ERRORS[code].number);
  assert.ok((answer.errors[0]?.message.length ?? 0) > ERRORS[code].next.length / 2, "the message says what is wrong and what to do");
}

test("paths and methods that are not there are told apart", () =>
  house(async ({ call, control }) => {
    assertRefused(await call("GET", "/zones"), "route_not_found");
    const long = await call("GET", `/zones/${"x".repeat(5000)}`);
    assertRefused(long, "route_not_found");
    assert.ok((long.errors[0]?.message.length ?? Infinity) < 500, "a long path is not repeated whole");
    assertRefused(await call("PUT", "/accounts"), "method_not_allowed");
    const allowed = await control.app.request(
      "http://localhost:8787/client/v4/accounts",
      { method: "PUT", headers: { host: "localhost:8787" } },
      {},
    );
    assert.equal(allowed.headers.get("allow"), "GET");
  }));

test("another Host is refused, loopback addresses are not", () =>
  house(async ({ control }) => {
    const ask = async (host: string) => {
      const answer = await control.app.request(`http://${host}/client/v4/accounts`, { headers: { host } }, {});
      return { ...((await answer.json()) as { success: boolean; errors: { code: number; message: string }[] }), status: answer.status };
    };
    assertRefused(await ask("evil.example"), "wrong_host");
    assertRefused(await ask("127.0.0.1:8787"), "unauthenticated");
  }));

test("a token says who it is, and that no user stands behind it", () =>
  house(async ({ call, provision }) => {
    const { account } = await provision({ "mayfly-task": '{"title":"t","agent":"a"}' });
    const token = account.apiToken;
    assert.equal((await call<{ status: string }>("GET", "/user/tokens/verify", { token })).result.status, "active");
    assertRefused(await call("GET", "/user", { token }), "no_user");
    const accounts = await call<{ id: string; name: string }[]>("GET", "/accounts?page=1", { token });
    assert.deepEqual(
      accounts.result.map(({ id, name }) => ({ id, name })),
      [{ id: account.id, name: account.name }],
    );
    assert.deepEqual((await call<unknown[]>("GET", "/accounts?page=2", { token })).result, []);
    const memberships = await call<{ account: { id: string } }[]>("GET", "/memberships", { token });
    assert.equal(memberships.result[0]?.account.id, account.id);
  }));

test("the terms, unknown events and malformed headers are refused before any work is asked for", () =>
  house(async ({ call }) => {
    const body = { acceptTermsOfService: "yes", challengeToken: "x", solution: { checkpoints: "eA==" } };
    const post = (more: Record<string, unknown>, headers: Record<string, string> = {}) =>
      call("POST", "/provisioning/previews", { body: JSON.stringify({ ...body, ...more }), headers });
    assertRefused(await post({ acceptTermsOfService: "no" }), "terms_not_accepted");
    assertRefused(await post({ eventCode: "PARTY" }), "event_code_unknown");
    for (const lifetime of ["0", "-5", "1.5", "3601", "soon", "1e3"]) {
      const answer = await post({}, { "mayfly-lifetime": lifetime });
      assertRefused(answer, "invalid_input");
      assert.match(answer.errors[0]?.message ?? "", /^Mayfly-Lifetime:/);
    }
    for (const task of ["{", "[]", '{"title":1}', '{"more":"x"}', `{"title":"${"x".repeat(2100)}"}`]) {
      const answer = await post({}, { "mayfly-task": task });
      assertRefused(answer, "invalid_input");
      assert.match(answer.errors[0]?.message ?? "", /Mayfly-Task|title/);
    }
  }));

test("a stranger's body is never held beyond what an answer to a challenge needs", () =>
  house(async ({ call, clock }) => {
    // Until then an answer to the dearest challenge of before a restart is taken.
    clock.advance(24 * 3_600_000);
    const body = JSON.stringify({ acceptTermsOfService: "yes", challengeToken: "x", solution: { checkpoints: "A".repeat(100_000) } });
    assertRefused(await call("POST", "/provisioning/previews", { body }), "body_too_large");
  }));

test("the API never answers a page of another site", () =>
  house(async ({ call }) => {
    const challenge = (headers: Record<string, string>) => call("POST", "/provisioning/previews/challenge", { body: "{}", headers });
    for (const headers of [
      { origin: "https://evil.example" },
      { origin: "null" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
    ])
      assertRefused(await challenge(headers), "cross_site");
    for (const headers of [{ origin: "http://localhost:8787", "sec-fetch-site": "same-origin" }, { "sec-fetch-site": "none" }])
      assert.equal((await challenge(headers)).success, true);
  }));

test("a claim is refused by its own code: unknown, taken, late, too many", () =>
  house(async ({ control, clock, provision }) => {
    const secretOf = async () => (await provision()).claim.url.split("#")[1] ?? "";
    const take = async (secret: string) =>
      control.claims.take(secret, { id: "ada" }).then(
        () => "taken over",
        (error: unknown) => (error instanceof PlatformError ? error.code : String(error)),
      );
    assert.equal(await take("mfc_nonsense"), "claim_unknown");
    const first = await secretOf();
    const second = await secretOf();
    assert.equal(await take(first), "taken over");
    assert.equal(await take(first), "claim_taken");
    clock.advance(61_000);
    assert.equal(await take(second), "claim_late");
    assert.equal(refusalOf("late").status, 410);
  }));

test("a disk that is full is told as store_failed, leaves nothing half-made, and is forgotten once there is room", () =>
  house(async ({ call, provision, control }) => {
    const { account } = await provision();
    const { db } = control.store;
    const { page_count } = (await sql<{ page_count: number }>`PRAGMA page_count`.execute(db)).rows[0] ?? { page_count: 0 };
    await sql`PRAGMA max_page_count = ${sql.lit(page_count)}`.execute(db);
    const refused: unknown[] = [];
    for (let i = 0; i < 60 && refused.length === 0; i++) await provision().catch((error: unknown) => refused.push(error));
    assert.match(String(refused[0]), new RegExp(String(ERRORS.store_failed.number)));
    assert.equal((await call("GET", `/accounts/${account.id}`, { token: account.apiToken })).success, true);
    await sql`PRAGMA max_page_count = 1000000`.execute(db);
    assert.equal((await provision()).account.id.length, 32);
    const rows = await db.selectFrom("accounts").select("id").execute();
    assert.deepEqual(new Set(control.keys.accountsWithKeys()), new Set(rows.map(({ id }) => id)), "no key without its account");
  }));

test("a bug shows an id and nothing else, and is `unexpected`", () =>
  house(async ({ control, call, provision }) => {
    const { account } = await provision();
    await sql`DROP TABLE trail`.execute(control.store.db);
    const answer = await call("GET", `/accounts/${account.id}/trail`, { token: account.apiToken });
    assertRefused(answer, "unexpected");
    assert.doesNotMatch(JSON.stringify(answer), /trail|table|sql/i);
  }));

test("the claims of one person a day are capped", async () => {
  await using directory = await temporaryDirectory("api");
  await using opened = await openHouse({ directory: directory.path, claimsPerDay: 2 });
  const outcomes: string[] = [];
  for (let i = 0; i < 3; i++) {
    const secret = (await opened.provision()).claim.url.split("#")[1] ?? "";
    outcomes.push(
      await opened.control.claims.take(secret, { id: "ada" }).then(
        () => "taken over",
        (error: PlatformError) => error.code,
      ),
    );
  }
  assert.deepEqual(outcomes, ["taken over", "taken over", "claim_limit"]);
});
