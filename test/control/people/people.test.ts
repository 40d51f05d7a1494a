import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { sql } from "kysely";
import { createLog } from "../../../src/kernel/log.ts";
import { PlatformError, type ErrorCode } from "../../../src/kernel/errors.ts";
import { createPeople, type People, type SignUpPolicy } from "../../../src/control/people/people.ts";
import { networkOf } from "../../../src/control/people/attempts.ts";
import { openTrail } from "../../../src/control/trail/trail.ts";
import { onBothDatabases, openBench, type Bench } from "../../fixtures/databases.ts";

const ADA = { name: "Ada Lovelace", email: "ada@example.com", password: "correct horse" };
const HERE = "192.0.2.7";

const open = (ground: Bench, signUp: SignUpPolicy = "open", url = "http://localhost:8787"): People =>
  createPeople({ ...ground, trail: openTrail(ground.store.db, ground.keys), url: new URL(url), signUp, log: createLog("test", "silent") });

const cookieHeader = (cookies: readonly string[]): Headers =>
  new Headers({ cookie: cookies.map((cookie) => cookie.split(";")[0]).join("; ") });

const refuses = (code: ErrorCode) => (error: unknown) => error instanceof PlatformError && error.code === code;

const secretOf = (link: string | null): string => link?.split("#")[1] ?? assert.fail("there is no link");

const deeds = async ({ store }: Bench) =>
  (await store.db.selectFrom("trail").selectAll().orderBy("at").execute()).map((row) =>
    `${row.action} ${row.outcome} ${row.reason ?? ""}`.trim(),
  );

onBothDatabases("people", {
  "a person signs up, is known by the cookie, signs out and in again": async (ground) => {
    const people = open(ground);
    const { person, cookies } = await people.signUp(ADA, null, HERE);
    assert.match(person.id, /^[0-9a-f]{32}$/);
    assert.deepEqual(person, { id: person.id, name: ADA.name, email: ADA.email, role: "person" });
    assert.deepEqual(await people.session(cookieHeader(cookies)), person);
    const left = await people.signOut(cookieHeader(cookies), HERE);
    assert.match(left.cookies[0] ?? "", /^mayfly_session=;.*Max-Age=0/);
    assert.equal(await people.session(cookieHeader(cookies)), null, "the cookie alone opens nothing after signing out");
    const again = await people.signIn({ email: "ADA@example.com ", password: ADA.password }, HERE);
    assert.deepEqual(again.person, person);
    assert.deepEqual(await people.session(cookieHeader(again.cookies)), person);
    assert.deepEqual((await deeds(ground)).toSorted(), ["person:sign-in done", "person:sign-out done", "person:sign-up done"]);
  },

  "an e-mail address signs up once, also when two try at the same time": async (ground) => {
    const people = open(ground);
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => people.signUp(ADA, null, HERE)));
    assert.equal(outcomes.filter((outcome) => outcome.status === "fulfilled").length, 1);
    for (const outcome of outcomes)
      if (outcome.status === "rejected") assert.ok(refuses("sign_up_failed")(outcome.reason), String(outcome.reason));
    assert.deepEqual(await deeds(ground), ["person:sign-up done"]);
    await assert.rejects(people.signUp({ ...ADA, email: "Ada@Example.com" }, null, HERE), refuses("sign_up_failed"));
  },

  "a sign-up that fails half-way leaves neither person nor trail": async (ground) => {
    const { schema } = ground.store.db;
    await schema.dropTable("person_session").execute();
    let table = schema.createTable("person_session").addCheckConstraint("full", sql`false`);
    for (const column of ["id", "token", "userId", "expiresAt", "ipAddress", "userAgent", "createdAt", "updatedAt"]) {
      table = table.addColumn(column, "text");
    }
    await table.execute();
    const people = open(ground);
    await assert.rejects(people.signUp(ADA, null, HERE), /constraint/i);
    assert.deepEqual(await ground.store.db.selectFrom("person").select("id").execute(), []);
    assert.deepEqual(await deeds(ground), []);
  },

  "wrong password and unknown address are refused in the same words": async (ground) => {
    const people = open(ground);
    await people.signUp(ADA, null, HERE);
    const messages: string[] = [];
    for (const email of [ADA.email, "nobody@example.com"]) {
      await assert.rejects(people.signIn({ email, password: "wrong password" }, HERE), (error) => {
        messages.push((error as Error).message);
        return refuses("sign_in_failed")(error);
      });
    }
    assert.equal(messages[0], messages[1]);
    const refused = await ground.store.db.selectFrom("trail").selectAll().where("outcome", "=", "refused").execute();
    assert.deepEqual(
      refused.map(({ action, resource, reason }) => `${action} ${resource} ${reason}`),
      Array<string>(2).fill("person:sign-in person/unknown credentials"),
      "the trail has both, and does not tell them apart",
    );
  },

  "of all the operator's links one works, once, and there are none when there is an operator": async (ground) => {
    const people = open(ground, "invite");
    const links = [await people.operatorLink(), await people.operatorLink(), await people.operatorLink()];
    for (const link of links) {
      assert.match(link ?? "", /^http:\/\/localhost:8787\/operator#mfo_[0-9a-z]{57}$/);
      assert.equal(await people.invitation(secretOf(link)), "operator");
    }
    const tries = [0, 0, 1, 2].map((link, person) =>
      people.signUp({ ...ADA, email: `${person}@example.com` }, secretOf(links[link] ?? null), HERE),
    );
    const outcomes = await Promise.allSettled(tries);
    const winners = outcomes.filter((outcome) => outcome.status === "fulfilled");
    assert.equal(winners.length, 1);
    assert.equal(winners[0]?.value.person.role, "operator");
    for (const lost of outcomes) if (lost.status === "rejected") assert.ok(refuses("invitation_unknown")(lost.reason), String(lost.reason));
    assert.equal(await people.operatorLink(), null);
    const rows = await ground.store.db.selectFrom("person_invitations").selectAll().execute();
    assert.deepEqual(rows, [], "the hash is gone with the link");
  },

  "the secret of a link is stored as a hash and nowhere else": async (ground) => {
    const secret = secretOf(await open(ground).operatorLink());
    const rows = await ground.store.db.selectFrom("person_invitations").selectAll().execute();
    assert.equal(rows.length, 1);
    assert.ok(!JSON.stringify(rows).includes(secret.slice(4)));
    assert.equal(rows[0]?.hash, ground.keys.lookupHash(secret));
  },

  "by invitation, only an operator's invitation lets another person in, once and within seven days": async (ground) => {
    const people = open(ground, "invite");
    await assert.rejects(people.signUp(ADA, null, HERE), refuses("sign_up_closed"));
    const operator = (await people.signUp(ADA, secretOf(await people.operatorLink()), HERE)).person;
    const invitation = secretOf(await people.invite(operator));
    const bob = { ...ADA, name: "Bob", email: "bob@example.com" };
    const { person } = await people.signUp(bob, invitation, HERE);
    assert.equal(person.role, "person");
    await assert.rejects(people.signUp({ ...bob, email: "bo@example.com" }, invitation, HERE), refuses("invitation_unknown"));
    await assert.rejects(people.invite(person), refuses("forbidden"));
    const late = secretOf(await people.invite(operator));
    ground.clock.advance(7 * 86_400_000);
    assert.equal(await people.invitation(late), null);
    await assert.rejects(people.signUp({ ...bob, email: "b@example.com" }, late, HERE), refuses("invitation_unknown"));
  },

  "a person who signed up before becomes the operator with the link, once": async (ground) => {
    const people = open(ground);
    const { person, cookies } = await people.signUp(ADA, null, HERE);
    const secret = secretOf(await people.operatorLink());
    await people.becomeOperator(person, secret);
    assert.equal((await people.session(cookieHeader(cookies)))?.role, "operator");
    await assert.rejects(people.becomeOperator(person, secret), refuses("invitation_unknown"));
  },
});

describe("people", () => {
  test("where e-mail must be verified, signing up says that this installation cannot send any", async () => {
    await using ground = await openBench(null);
    await assert.rejects(open(ground, "verified").signUp(ADA, null, HERE), (error) => {
      return refuses("sign_up_closed")(error) && /cannot send e-mail/.test((error as Error).message);
    });
  });

  test("nobody makes themselves operator by adding a field", async () => {
    await using ground = await openBench(null);
    const { person } = await open(ground).signUp({ ...ADA, role: "operator" } as typeof ADA, null, HERE);
    assert.equal(person.role, "person");
  });

  test("input that is wrong is named: e-mail, password of fewer than 8 characters, name that turns text around", async () => {
    await using ground = await openBench(null);
    const people = open(ground);
    const wrong: [Partial<typeof ADA>, RegExp][] = [
      [{ email: "ada" }, /^email: /],
      [{ password: "7 chars" }, /^password: shorter than 8/],
      [{ password: "x".repeat(129) }, /^password: longer than 128/],
      [{ name: "  " }, /^name: missing/],
      [{ name: "a".repeat(81) }, /^name: longer than 80/],
      [{ name: "Ada \u202eecalevoL" }, /^name: holds characters/],
      [{ name: "Ada\u0000" }, /^name: holds characters/],
    ];
    for (const [part, message] of wrong) {
      await assert.rejects(people.signUp({ ...ADA, ...part }, null, HERE), (error) => {
        assert.match((error as Error).message, message);
        return refuses("invalid_input")(error);
      });
    }
    await assert.rejects(people.signIn({} as typeof ADA, HERE), refuses("invalid_input"));
    for (const name of ["Łukasz Żółć", "李小龍", "نگین", "O’Neill 🙂"]) {
      const email = `${Buffer.from(name).toString("hex").slice(0, 20)}@example.com`;
      assert.equal((await people.signUp({ ...ADA, name, email }, null, HERE)).person.name, name);
    }
  });

  test("guessing is stopped by address and by e-mail, and only by failures", async () => {
    await using ground = await openBench(null);
    const people = open(ground);
    await people.signUp(ADA, null, HERE);
    const guess = (address: string) => people.signIn({ email: ADA.email, password: "a wrong guess" }, address);
    for (let i = 0; i < 20; i++) await assert.rejects(guess("2001:db8::1"), refuses("sign_in_failed"));
    await assert.rejects(guess("2001:db8::ffff"), (error) => {
      assert.ok(((error as PlatformError).retryAfterSeconds ?? 0) > 500);
      return refuses("too_many_tries")(error);
    });
    await assert.rejects(people.signIn(ADA, "2001:db8::1"), refuses("too_many_tries"));
    await people.signIn(ADA, HERE);
    ground.clock.advance(600_001);
    await people.signIn(ADA, "2001:db8::1");
  });

  test("a caller's network is the first half of an IPv6 address and the whole of an IPv4 one", () => {
    assert.equal(networkOf("2001:db8::1"), networkOf("2001:db8:0:0:ffff:1:2:3"));
    assert.notEqual(networkOf("2001:db8::1"), networkOf("2001:db8:0:1::1"));
    assert.equal(networkOf("::1"), "0:0:0:0");
    assert.equal(networkOf("192.0.2.1"), "192.0.2.1");
  });

  test("the cookie is HttpOnly and Lax, and on TLS bound to the host alone", async () => {
    await using ground = await openBench(null);
    const [plain] = (await open(ground).signUp(ADA, null, HERE)).cookies;
    assert.match(plain ?? "", /^mayfly_session=[^;]+; Max-Age=604800; Path=\/; HttpOnly; SameSite=Lax$/);
    const tls = open(ground, "open", "https://mayfly.example");
    const { cookies } = await tls.signIn(ADA, HERE);
    assert.match(cookies[0] ?? "", /^__Host-mayfly_session=[^;]+; Max-Age=604800; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    assert.equal(cookies.length, 1);
    assert.equal((await tls.session(cookieHeader(cookies)))?.email, ADA.email);
  });

  test("a forged or foreign cookie is nobody", async () => {
    await using ground = await openBench(null);
    await using other = await openBench(null);
    const people = open(ground);
    const { cookies } = await people.signUp(ADA, null, HERE);
    const [name, value = ""] = (cookies[0]?.split(";")[0] ?? "").split("=");
    const token = decodeURIComponent(value).split(".")[0] ?? "";
    for (const forged of ["", "x", token, `${token}.AAAA`, encodeURIComponent(`${token}.${"A".repeat(43)}=`)]) {
      assert.equal(await people.session(new Headers({ cookie: `${name}=${forged}` })), null);
    }
    assert.equal(await open(other).session(cookieHeader(cookies)), null);
  });

  test("nothing of the caller is kept in the clear: the address is in the trail, sealed for the operator", async () => {
    await using ground = await openBench(null);
    const people = open(ground);
    await people.signUp(ADA, null, HERE);
    const everything = [];
    for (const table of ["person", "person_session", "trail"] as const)
      everything.push(await ground.store.db.selectFrom(table).selectAll().execute());
    assert.ok(!JSON.stringify(everything).includes(HERE));
    assert.ok(!JSON.stringify(everything).includes(ADA.password));
    const entry = await ground.store.db.selectFrom("trail").selectAll().executeTakeFirstOrThrow();
    assert.equal(ground.keys.openForOperator(entry.at, entry.sealed ?? new Uint8Array()), JSON.stringify({ address: HERE }));
  });
});
