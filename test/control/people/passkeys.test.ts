import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLog } from "../../../src/kernel/log.ts";
import { PlatformError, type ErrorCode } from "../../../src/kernel/errors.ts";
import type { Passkeys } from "../../../src/control/people/passkeys.ts";
import { createPeople, type People } from "../../../src/control/people/people.ts";
import type { Person } from "../../../src/control/people/person.ts";
import { relyingParty } from "../../../src/control/people/web-authn.ts";
import { openTrail } from "../../../src/control/trail/trail.ts";
import { authenticator, type Authenticator, type Lies } from "../../fixtures/authenticator.ts";
import { onBothDatabases, openBench, type Bench } from "../../fixtures/databases.ts";

const ORIGIN = "http://localhost:8787";
const HERE = "192.0.2.7";
const ADA = { name: "Ada", email: "ada@example.com", password: "correct horse" };
const BOB = { name: "Bob", email: "bob@example.com", password: "battery staple" };

type House = { readonly people: People; readonly passkeys: Passkeys };

function open(bench: Bench, url = ORIGIN): House {
  const trail = openTrail(bench.store.db, bench.keys);
  const people = createPeople({ ...bench, trail, url: new URL(url), signUp: "open", log: createLog("test", "silent") });
  return { people, passkeys: people.passkeys ?? assert.fail("no passkeys") };
}

const cookieHeader = (...cookies: readonly string[]): Headers =>
  new Headers({ cookie: cookies.map((cookie) => cookie.split(";")[0]).join("; ") });

const refuses =
  (code: ErrorCode, words: RegExp = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof PlatformError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(`${error.message} ${error.next}`, words);
    return true;
  };

async function add({ passkeys }: House, person: Person, device: Authenticator, lies: Lies = {}): Promise<void> {
  const { options, cookie } = await passkeys.addOptions(person);
  await passkeys.add(person, { name: "A key", credential: device.create(options, lies) }, cookieHeader(cookie), HERE);
}

async function signIn({ passkeys }: House, device: Authenticator, lies: Lies = {}) {
  const { options, cookie } = await passkeys.signInOptions();
  return passkeys.signIn(device.get(options, lies), cookieHeader(cookie), HERE);
}

const deeds = async ({ store }: Bench): Promise<string[]> =>
  (await store.db.selectFrom("trail").selectAll().orderBy("at").execute()).map((row) =>
    `${row.action} ${row.resource.split("/")[1]?.slice(0, 7)} ${row.outcome} ${row.reason ?? ""}`.trim(),
  );

onBothDatabases("a passkey", {
  "is added by its person, signs them in, is listed with its last use, and removed signs nobody in": async (bench) => {
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    const device = authenticator(ORIGIN);
    await add(house, person, device);
    bench.clock.advance(5000);
    const entered = await signIn(house, device);
    assert.deepEqual(entered.person, person);
    assert.deepEqual(await house.people.session(cookieHeader(...entered.cookies)), person);
    const [listed, ...more] = await house.passkeys.list(person);
    assert.deepEqual(more, []);
    assert.deepEqual([listed?.name, listed?.synced, listed?.lastUsedAtMs], ["A key", false, bench.clock.now()]);
    assert.equal(listed?.createdAtMs, bench.clock.now() - 5000);
    const key = listed?.id ?? "";
    const own = cookieHeader(...entered.cookies);
    await house.passkeys.remove(person, key, own, HERE);
    await house.passkeys.remove(person, key, own, HERE);
    await assert.rejects(signIn(house, device), refuses("sign_in_failed", /not known here/));
    const me = person.id.slice(0, 7);
    assert.deepEqual((await deeds(bench)).toSorted(), [
      `person:passkey-add ${me} done passkey/${key}`,
      `person:passkey-remove ${me} done passkey/${key}`,
      `person:sign-in ${me} done passkey/${key}`,
      "person:sign-in unknown refused passkey-unknown",
      `person:sign-out ${me} done removal of passkey/${key}`,
      `person:sign-up ${me} done`,
    ]);
  },

  "takes every session but the remover's own along when it is removed, and nobody else's": async (bench) => {
    const house = open(bench);
    const signedUp = await house.people.signUp(ADA, null, HERE);
    const { person } = signedUp;
    const bob = await house.people.signUp(BOB, null, HERE);
    const [lost, kept] = [authenticator(ORIGIN), authenticator(ORIGIN)];
    await add(house, person, lost);
    bench.clock.advance(1);
    await add(house, person, kept);
    const stolen = await signIn(house, lost);
    const other = await house.people.signIn(ADA, HERE);
    const [first] = await house.passkeys.list(person);
    const own = cookieHeader(...other.cookies);
    await house.passkeys.remove(person, "not one of hers", own, HERE);
    assert.notEqual(await house.people.session(cookieHeader(...stolen.cookies)), null, "nothing was removed");
    await house.passkeys.remove(person, first?.id ?? "", own, HERE);
    const is = async ({ cookies }: { readonly cookies: readonly string[] }) =>
      (await house.people.session(cookieHeader(...cookies)))?.name ?? null;
    assert.deepEqual(await Promise.all([stolen, signedUp, other, bob].map(is)), [null, null, "Ada", "Bob"]);
    const [out, ...more] = await bench.store.db.selectFrom("trail").selectAll().where("action", "=", "person:sign-out").execute();
    assert.deepEqual([more.length, out?.count, out?.reason], [0, 2, `removal of passkey/${first?.id}`]);
    assert.equal(out?.actors, JSON.stringify([`person/${person.id}`]));
    await signIn(house, kept);
  },

  "of many sign-ins while it is removed leaves none signed in": async (bench) => {
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    for (let round = 0; round < 10; round++) {
      const device = authenticator(ORIGIN, { counts: false });
      await add(house, person, device);
      const [mine] = await house.passkeys.list(person);
      const entering = Array.from({ length: 4 }, () => signIn(house, device));
      // Some of the sign-ins are through when it comes, others are not.
      await Promise.race(entering);
      await house.passkeys.remove(person, mine?.id ?? "", new Headers(), HERE);
      for (const outcome of await Promise.allSettled(entering)) {
        if (outcome.status === "fulfilled") assert.equal(await house.people.session(cookieHeader(...outcome.value.cookies)), null);
        else refuses("sign_in_failed")(outcome.reason);
      }
      bench.clock.advance(600_001);
    }
  },

  "has an id of 1023 bytes at the most": async (bench) => {
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    for (const idBytes of [1024, 3000])
      await assert.rejects(add(house, person, authenticator(ORIGIN, { idBytes })), refuses("passkey_refused", /could not be verified/));
    const longest = authenticator(ORIGIN, { idBytes: 1023 });
    await add(house, person, longest);
    assert.deepEqual((await signIn(house, longest)).person, person);
  },

  "counts: a copy that has signed less often is refused, one that never counts is not": async (bench) => {
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    const [counting, still] = [authenticator(ORIGIN), authenticator(ORIGIN, { counts: false })];
    await add(house, person, counting);
    await add(house, person, still);
    await signIn(house, counting, { counter: 10 });
    for (const counter of [10, 3, 0]) await assert.rejects(signIn(house, counting, { counter }), refuses("sign_in_failed", /a copy of it/));
    await signIn(house, counting, { counter: 11 });
    for (let use = 0; use < 3; use++) await signIn(house, still);
    assert.equal((await deeds(bench)).filter((deed) => deed.includes("refused passkey-counter passkey/")).length, 3);
  },

  "answers a challenge once: replayed, late, from another visitor or for another purpose it is refused": async (bench) => {
    const house = open(bench);
    const { passkeys, people } = house;
    const ada = (await people.signUp(ADA, null, HERE)).person;
    const bob = (await people.signUp(BOB, null, HERE)).person;
    const device = authenticator(ORIGIN);
    await add(house, ada, device);
    const refused = refuses("sign_in_failed", /too late, or was used before/);

    const first = await passkeys.signInOptions();
    const answer = device.get(first.options);
    await passkeys.signIn(answer, cookieHeader(first.cookie), HERE);
    await assert.rejects(passkeys.signIn(answer, cookieHeader(first.cookie), HERE), refused);
    await assert.rejects(passkeys.signIn(device.get(first.options), cookieHeader(first.cookie), HERE), refused);
    await assert.rejects(passkeys.signIn(device.get((await passkeys.signInOptions()).options), new Headers(), HERE), refused);

    // A wrong answer spends it as well.
    const spent = await passkeys.signInOptions();
    await assert.rejects(
      passkeys.signIn(authenticatorNobodyAdded(spent.options), cookieHeader(spent.cookie), HERE),
      refuses("sign_in_failed"),
    );
    await assert.rejects(passkeys.signIn(device.get(spent.options), cookieHeader(spent.cookie), HERE), refused);

    const another = await passkeys.signInOptions();
    await assert.rejects(
      passkeys.signIn(device.get(first.options), cookieHeader(another.cookie), HERE),
      refuses("sign_in_failed", /could not be verified/),
    );
    const late = await passkeys.signInOptions();
    bench.clock.advance(300_001);
    await assert.rejects(passkeys.signIn(device.get(late.options), cookieHeader(late.cookie), HERE), refused);

    const adding = await passkeys.addOptions(ada);
    await assert.rejects(passkeys.signIn(device.get(adding.options), cookieHeader(adding.cookie), HERE), refused);
    const other = authenticator(ORIGIN);
    const made = { name: "Mine", credential: other.create(adding.options) };
    const notHis = refuses("passkey_refused", /too late, or was used before/);
    await assert.rejects(passkeys.add(bob, made, cookieHeader(adding.cookie), HERE), notHis);
    await passkeys.add(ada, made, cookieHeader(adding.cookie), HERE);
    await assert.rejects(passkeys.add(ada, made, cookieHeader(adding.cookie), HERE), notHis);
    assert.deepEqual(await passkeys.list(bob), []);
  },

  "of sixteen answers to one challenge one is let in": async (bench) => {
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    const device = authenticator(ORIGIN, { counts: false });
    await add(house, person, device);
    const { options, cookie } = await house.passkeys.signInOptions();
    const tries = await Promise.allSettled(
      Array.from({ length: 16 }, () => house.passkeys.signIn(device.get(options), cookieHeader(cookie), HERE)),
    );
    assert.equal(tries.filter(({ status }) => status === "fulfilled").length, 1);
    assert.equal((await bench.store.db.selectFrom("person_session").select("id").execute()).length, 2, "the sign-up's and this");
  },

  "of another origin or another place is neither added nor let in": async (bench) => {
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    const lies: Lies[] = [
      { origin: "http://evil.example" },
      { origin: "http://localhost:8788" },
      { origin: "https://localhost:8787" },
      { rpId: "evil.example" },
      { challenge: "AAAA" },
    ];
    for (const lie of lies)
      await assert.rejects(add(house, person, authenticator(ORIGIN), lie), refuses("passkey_refused", /not be verified/));
    assert.deepEqual(await house.passkeys.list(person), []);
    const device = authenticator(ORIGIN);
    await add(house, person, device);
    for (const lie of lies) await assert.rejects(signIn(house, device, lie), refuses("sign_in_failed", /could not be verified/));
    await signIn(house, device);
  },

  "belongs to one person: nobody else adds it again, lists it or removes it": async (bench) => {
    const house = open(bench);
    const ada = (await house.people.signUp(ADA, null, HERE)).person;
    const bob = (await house.people.signUp(BOB, null, HERE)).person;
    const device = authenticator(ORIGIN);
    await add(house, ada, device);
    await assert.rejects(add(house, bob, device), refuses("passkey_refused", /known here already/));
    const [mine] = await house.passkeys.list(ada);
    await house.passkeys.remove(bob, mine?.id ?? "", new Headers(), HERE);
    assert.equal((await house.passkeys.list(ada)).length, 1);
    assert.ok(!(await deeds(bench)).some((deed) => deed.startsWith("person:passkey-remove")));
  },

  "is not removed where it is the last way in, however many are removed at once": async (bench) => {
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    for (let made = 0; made < 3; made++) await add(house, person, authenticator(ORIGIN));
    await bench.store.db.deleteFrom("person_credential").execute();
    const all = await house.passkeys.list(person);
    const outcomes = await Promise.allSettled(all.map(({ id }) => house.passkeys.remove(person, id, new Headers(), HERE)));
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 2);
    for (const outcome of outcomes) if (outcome.status === "rejected") refuses("last_way_in", /only way to sign in/)(outcome.reason);
    assert.equal((await house.passkeys.list(person)).length, 1);
    assert.equal((await deeds(bench)).filter((deed) => deed.startsWith("person:passkey-remove")).length, 2);
  },

  "that is removed while its answer is on the way lets nobody in": async (bench) => {
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    const device = authenticator(ORIGIN);
    await add(house, person, device);
    const [mine] = await house.passkeys.list(person);
    const entering = signIn(house, device);
    const outcome = await Promise.allSettled([entering, house.passkeys.remove(person, mine?.id ?? "", new Headers(), HERE)]);
    const signIns = (await deeds(bench)).filter((deed) => deed.startsWith("person:sign-in") && deed.includes("done"));
    assert.equal(signIns.length, outcome[0].status === "fulfilled" ? 1 : 0, "let in exactly where the trail says so");
  },
});

const authenticatorNobodyAdded = (options: object): string => {
  const stranger = authenticator(ORIGIN);
  stranger.create({ ...options, user: { id: "AAAA" } });
  return stranger.get(options);
};

describe("passkeys", () => {
  test("are there on https and on localhost, and not on plain http elsewhere or at an address", () => {
    const expected: Record<string, string | null> = {
      "http://localhost:8787": "localhost",
      "https://mayfly.example": "mayfly.example",
      "http://console.localhost:8787": "console.localhost",
      "http://mayfly.example": null,
      "http://127.0.0.1:8787": null,
      "https://192.0.2.1": null,
      "https://[2001:db8::1]": null,
    };
    for (const [url, rpId] of Object.entries(expected)) assert.equal(relyingParty(new URL(url))?.id ?? null, rpId, url);
  });

  test("on TLS the challenge's cookie is for TLS and this host alone, and no page's script can read it", async () => {
    await using bench = await openBench(null);
    const { cookie } = await open(bench, "https://mayfly.example").passkeys.signInOptions();
    assert.match(cookie, /^__Host-mayfly_passkey=[^;]+; Max-Age=300; Path=\/; HttpOnly; SameSite=Lax; Secure$/);
  });

  test("what is asked names nobody's passkeys, and wants one that the device finds by itself", async () => {
    await using bench = await openBench(null);
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    await add(house, person, authenticator(ORIGIN));
    const { options } = (await house.passkeys.signInOptions()) as { options: Record<string, unknown> };
    assert.deepEqual([options["rpId"], options["allowCredentials"], options["userVerification"]], ["localhost", undefined, "preferred"]);
    const adding = (await house.passkeys.addOptions(person)).options as Record<string, Record<string, unknown>>;
    assert.equal(adding["authenticatorSelection"]?.["residentKey"], "required");
    assert.equal((adding["excludeCredentials"] as unknown as unknown[]).length, 1);
    assert.ok(!JSON.stringify(adding["user"]?.["id"]).includes(person.id));
  });

  test("bad input is named, and guessing is stopped by address", async () => {
    await using bench = await openBench(null);
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    for (const credential of [
      "",
      "{",
      "null",
      "[]",
      "{}",
      '{"id":"a b"}',
      JSON.stringify({ id: "AA", rawId: "AA", type: "public-key", response: {} }),
    ]) {
      await assert.rejects(house.passkeys.signIn(credential, new Headers(), HERE), refuses("invalid_input"), credential);
      await assert.rejects(
        house.passkeys.add(person, { name: "x", credential }, new Headers(), HERE),
        refuses("invalid_input"),
        credential,
      );
    }
    for (const name of ["", "  ", "x".repeat(61), "\u202eyek"])
      await assert.rejects(
        house.passkeys.add(person, { name, credential: "{}" }, new Headers(), HERE),
        refuses("invalid_input", /^name: /),
      );
    for (let guess = 0; guess < 13; guess++)
      await assert.rejects(house.passkeys.signIn("{}", new Headers(), HERE), refuses("invalid_input"));
    await assert.rejects(house.passkeys.signIn("{}", new Headers(), HERE), refuses("too_many_tries"));
    await assert.rejects(house.people.signIn(ADA, HERE), refuses("too_many_tries"));
  });

  test("certificates that nobody asked for are refused before anything reads them", async () => {
    await using bench = await openBench(null);
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    const x5c = [Buffer.from("a certificate that names a list of revoked ones")];
    for (const format of ["packed", "android-key", "apple", "tpm", "fido-u2f", "android-safetynet", "toString", "none of these"]) {
      const lies = { attestation: { format, statement: { alg: -7, sig: Buffer.from("00"), x5c } } };
      await assert.rejects(add(house, person, authenticator(ORIGIN), lies), (error: Error) => {
        assert.match((error.cause as Error).message, /not asked for/, format);
        return refuses("passkey_refused")(error);
      });
    }
    assert.deepEqual(await house.passkeys.list(person), []);
  });

  test("a person keeps twenty", async () => {
    await using bench = await openBench(null);
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    for (let made = 0; made < 20; made++) {
      await add(house, person, authenticator(ORIGIN));
      if (made % 10 === 9) bench.clock.advance(600_001);
    }
    await assert.rejects(add(house, person, authenticator(ORIGIN)), refuses("passkey_refused", /20 passkeys/));
    assert.equal((await house.passkeys.list(person)).length, 20);
  });

  test("the caller's address is sealed for the operator, and what failed to be recorded did not happen", async () => {
    await using bench = await openBench(null);
    const house = open(bench);
    const { person } = await house.people.signUp(ADA, null, HERE);
    const device = authenticator(ORIGIN);
    await add(house, person, device);
    const rows = await bench.store.db.selectFrom("trail").selectAll().where("action", "=", "person:passkey-add").execute();
    assert.equal(bench.keys.openForOperator(rows[0]?.at ?? 0, rows[0]?.sealed ?? new Uint8Array()), JSON.stringify({ address: HERE }));
    assert.ok(!JSON.stringify(rows).includes(HERE));
    await bench.store.db.schema.alterTable("trail").renameTo("trail_away").execute();
    await assert.rejects(signIn(house, device), /trail/);
    await assert.rejects(add(house, person, authenticator(ORIGIN)), /trail/);
    assert.equal((await house.passkeys.list(person)).length, 1);
    assert.equal((await house.passkeys.list(person))[0]?.lastUsedAtMs, null);
  });
});
