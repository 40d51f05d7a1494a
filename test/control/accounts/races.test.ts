import assert from "node:assert/strict";
import * as transitions from "../../../src/control/accounts/transitions.ts";
import { makeAccount } from "../../fixtures/accounts.ts";
import type { PlatformError } from "../../../src/kernel/errors.ts";
import { onBothDatabases, type Bench } from "../../fixtures/databases.ts";
import { openPages } from "../../fixtures/pages.ts";

const ROUNDS = 1000;
const AT_ONCE = 20;

type Contender = (bench: Bench, made: Awaited<ReturnType<typeof makeAccount>>) => Promise<unknown>;

const claimAs =
  (person: string): Contender =>
  (bench, { account }) =>
    bench.store.transaction((tx) => transitions.claim(tx, account.claim_hash ?? "", person, bench.clock.now()));

const endAs =
  (reason: "task-done" | "operator"): Contender =>
  (bench, { id }) =>
    bench.store.transaction((tx) => transitions.beginEnding(tx, id, reason, bench.clock.now()));

async function race(bench: Bench, contenders: readonly Contender[]): Promise<void> {
  for (let round = 0; round < ROUNDS; round += AT_ONCE) {
    const made = await Promise.all(Array.from({ length: AT_ONCE }, () => makeAccount(bench)));
    await Promise.all(
      made.map(async (one, at) => {
        const order = at % 2 === 0 ? contenders : contenders.toReversed();
        const won = await Promise.all(order.map((contender) => contender(bench, one)));
        assert.equal(won.filter(Boolean).length, 1, "exactly one wins");
      }),
    );
  }
}

onBothDatabases("the claims of one person a day", {
  "never pass their bound, however many are sent at once": async (bench) => {
    await using pages = await openPages(bench, { claimsPerDay: 3 });
    const links = await Promise.all(Array.from({ length: 12 }, () => pages.waiting()));
    const outcomes = await Promise.all(
      links.map(({ secret }) =>
        pages.claims.take(secret, { id: "ada" }).then(
          () => "taken over",
          (error: PlatformError) => error.code,
        ),
      ),
    );
    assert.equal(outcomes.filter((outcome) => outcome === "taken over").length, 3);
    assert.equal(outcomes.filter((outcome) => outcome === "claim_limit").length, 9);
  },
});

onBothDatabases("of two that race a thousand times exactly one wins, always:", {
  "two claims": (bench) => race(bench, [claimAs("ada"), claimAs("grace")]),
  "a claim in the last millisecond and the end in the next": async (bench) => {
    let claims = 0;
    for (let round = 0; round < ROUNDS; round += AT_ONCE) {
      await Promise.all(
        Array.from({ length: AT_ONCE }, async (_, at) => {
          const { id, account } = await makeAccount(bench, 1000);
          const due = account.expires_at ?? 0;
          const claim = () => bench.store.transaction((tx) => transitions.claim(tx, account.claim_hash ?? "", "ada", due - 1));
          const end = () => bench.store.transaction((tx) => transitions.beginEnding(tx, id, "expired", due));
          const won = await Promise.all(at % 2 === 0 ? [claim(), end()] : [end(), claim()]);
          assert.equal(won.filter(Boolean).length, 1);
          claims += won.some((row) => row?.state === "claimed") ? 1 : 0;
        }),
      );
    }
    assert.ok(claims > 0 && claims < ROUNDS, `both sides win sometimes: ${claims} claims`);
  },
  "a claim and the end that the agent asks for, whose token dies with the claim": async (bench) => {
    let claims = 0;
    const asAgent: Contender = ({ store, clock }, { id, account }) =>
      store.transaction((tx) => transitions.beginEnding(tx, id, "task-done", clock.now(), account.auth_epoch));
    const asAda: Contender = async (...given) => (await claimAs("ada")(...given)) !== undefined && ++claims > 0;
    await race(bench, [asAda, asAgent]);
    assert.ok(claims > 0 && claims < ROUNDS, `both sides win sometimes: ${claims} claims`);
  },
  "two ends": (bench) => race(bench, [endAs("task-done"), endAs("operator")]),
});
