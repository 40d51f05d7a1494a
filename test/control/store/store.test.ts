import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as transitions from "../../../src/control/accounts/transitions.ts";
import type { Tx } from "../../../src/control/store/store.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { makeAccount } from "../../fixtures/accounts.ts";
import { onBothDatabases, openBench } from "../../fixtures/databases.ts";

const code = (expected: string) => (error: unknown) => error instanceof PlatformError && error.code === expected;

onBothDatabases("inAccount", {
  "raises the revision with every write": async (bench) => {
    const { id } = await makeAccount(bench);
    for (let i = 1; i <= 3; i++) {
      const revision = await bench.store.inAccount({ account: id, epoch: 1, token: null }, (_tx, account) =>
        Promise.resolve(account.revision),
      );
      assert.equal(revision, i);
    }
  },
  "never writes to an account whose hour is over, though no reaper ran": async (bench) => {
    const { id } = await makeAccount(bench, 1000);
    bench.clock.advance(1000);
    await assert.rejects(
      bench.store.inAccount({ account: id, epoch: 1, token: null }, () => assert.fail("the write ran")),
      code("account_gone"),
    );
  },
  "refuses a writer of an earlier epoch": async (bench) => {
    const { id, account } = await makeAccount(bench);
    await bench.store.transaction((tx) => transitions.claim(tx, account.claim_hash ?? "", "someone", bench.clock.now()));
    await assert.rejects(
      bench.store.inAccount({ account: id, epoch: 1, token: null }, () => assert.fail("the write ran")),
      code("token_refused"),
    );
    assert.equal(await bench.store.inAccount({ account: id, epoch: 2, token: null }, () => Promise.resolve("written")), "written");
  },
  "refuses tenants while an operator suspends, and lets them mend what the watchdog stopped": async (bench) => {
    const { id } = await makeAccount(bench);
    const other = await makeAccount(bench);
    const suspend = (account: typeof id, by: "operator" | "watchdog") =>
      bench.store.transaction((tx) => transitions.suspend(tx, account, by, "too loud", bench.clock.now()));
    await suspend(id, "operator");
    await suspend(other.id, "watchdog");
    await assert.rejects(
      bench.store.inAccount({ account: id, epoch: 1, token: null }, () => assert.fail("the write ran")),
      (error) => code("account_suspended")(error) && /too loud/.test((error as Error).message),
    );
    assert.equal(await bench.store.inAccount({ account: other.id, epoch: 1, token: null }, () => Promise.resolve("mended")), "mended");
  },
  "undoes everything when the deed fails": async (bench) => {
    const { id } = await makeAccount(bench);
    await assert.rejects(
      bench.store.inAccount({ account: id, epoch: 1, token: null }, async (tx) => {
        await tx.insertInto("spent_challenges").values({ id: "half", expires_at: 1 }).execute();
        throw new Error("disk on fire");
      }),
      /disk on fire/,
    );
    assert.deepEqual(await bench.store.db.selectFrom("spent_challenges").selectAll().execute(), []);
    const row = await bench.store.db.selectFrom("accounts").select("revision").where("id", "=", id).executeTakeFirstOrThrow();
    assert.equal(row.revision, 0);
  },
  "knows no account that was never made": async (bench) => {
    await assert.rejects(
      bench.store.inAccount({ account: newAccountId(), epoch: null, token: null }, () => assert.fail("the write ran")),
      code("account_not_found"),
    );
  },
  "one hundred concurrent writers of one account follow each other": async (bench) => {
    const { id } = await makeAccount(bench);
    const seen = await Promise.all(
      Array.from({ length: 100 }, () =>
        bench.store.inAccount({ account: id, epoch: 1, token: null }, (_tx, account) => Promise.resolve(account.revision)),
      ),
    );
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
  },
  "a snapshot sees one moment, whatever is committed while it reads": async (bench) => {
    const { id } = await makeAccount(bench);
    const revision = async (db: Tx) =>
      (await db.selectFrom("accounts").select("revision").where("id", "=", id).executeTakeFirstOrThrow()).revision;
    let writing: Promise<unknown> = Promise.resolve();
    const seen = await bench.store.snapshot(async (tx) => {
      const first = await revision(tx);
      writing = bench.store.inAccount({ account: id, epoch: 1, token: null }, () => Promise.resolve());
      // SQLite's one connection makes the writer wait until the snapshot is over.
      if (bench.store.kind === "postgres") await writing;
      return [first, await revision(tx)];
    });
    await writing;
    assert.deepEqual(seen, [0, 0]);
  },
  "of those who lock a name one goes on at a time, so that a count they take cannot be passed": async (bench) => {
    const add = () =>
      bench.store.transaction(async (tx) => {
        await bench.store.lock(tx, "a name");
        const rows = await tx.selectFrom("spent_challenges").select("id").execute();
        if (rows.length < 3) await tx.insertInto("spent_challenges").values({ id: newAccountId(), expires_at: 1 }).execute();
      });
    await Promise.all(Array.from({ length: 30 }, add));
    assert.equal((await bench.store.db.selectFrom("spent_challenges").select("id").execute()).length, 3);
  },
  "a subdomain is never used again, not even after its account is deleted": async (bench) => {
    const { id, account } = await makeAccount(bench);
    await bench.store.transaction((tx) => transitions.beginEnding(tx, id, "task-done", bench.clock.now()));
    await bench.store.endingAccount(id, (tx) => transitions.finishEnding(tx, id, bench.clock.now()));
    await assert.rejects(
      bench.store.db
        .insertInto("accounts")
        .values({ ...account, id: newAccountId(), claim_hash: null })
        .execute(),
    );
  },
});

test("SQLite keeps no trace of a deleted row in its files once the log is truncated", async () => {
  await using bench = await openBench(null);
  const planted = "planted-4c1d7be0";
  await bench.store.db.insertInto("spent_challenges").values({ id: planted, expires_at: 1 }).execute();
  const holds = (): boolean =>
    readdirSync(bench.data).some((file) => file.startsWith("mayfly.db") && readFileSync(join(bench.data, file)).includes(planted));
  assert.equal(holds(), true);
  await bench.store.db.deleteFrom("spent_challenges").execute();
  await bench.store.truncateLog();
  assert.equal(holds(), false);
});
