import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { PlatformError } from "../../../src/kernel/errors.ts";
import { testClock } from "../../fixtures/databases.ts";
import { openHouse, uploadBody, type House } from "../../fixtures/house.ts";
import { startPostgres } from "../../fixtures/postgres.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const RUNS = 12;
const MOST_COMMANDS = 14;

type ModelAccount = {
  readonly id: string;
  readonly label: string;
  readonly agentToken: string;
  readonly claimSecret: string;
  state: "temporary" | "claimed" | "gone";
  expiresAt: number;
  ownerToken: string | null;
  /** What the Worker says; null before the first deploy. */
  says: string | null;
};

type Model = { accounts: ModelAccount[]; now: number; hostDown: boolean; deploys: number };
type Real = { house: House; reopen(): Promise<House> };

const pick = (model: Model, at: number): ModelAccount | undefined => model.accounts[at % Math.max(1, model.accounts.length)];
const liveToken = (account: ModelAccount): string => account.ownerToken ?? account.agentToken;

/** What must hold of every account after every command. */
async function check(model: Model, { house }: Real): Promise<void> {
  for (const account of model.accounts) {
    const answer = await house.call("GET", `/accounts/${account.id}`, { token: liveToken(account) });
    assert.equal(answer.success, account.state !== "gone", `the token of a ${account.state} account`);
    if (account.ownerToken !== null) {
      assert.equal(
        (await house.call("GET", `/accounts/${account.id}`, { token: account.agentToken })).status,
        401,
        "the agent's token after a claim",
      );
    }
    if (model.hostDown) continue;
    const seen = await house.edge(account.label);
    if (account.state === "gone") assert.equal(seen.status, account.says === null ? seen.status : 410, "the URL of an ended account");
    else if (account.says === null) assert.equal(seen.status, 404);
    else assert.equal(seen.body, account.says);
  }
}

class Create implements fc.AsyncCommand<Model, Real> {
  readonly ttlSeconds: number;
  constructor(ttlSeconds: number) {
    this.ttlSeconds = ttlSeconds;
  }
  check = (model: Readonly<Model>): boolean => model.accounts.length < 4;
  async run(model: Model, real: Real): Promise<void> {
    const made = await real.house.provision({ "mayfly-lifetime": String(this.ttlSeconds) });
    const subdomain = made.account.name.split(" ")[0] ?? "";
    model.accounts.push({
      id: made.account.id,
      label: `w--${subdomain}`,
      agentToken: made.account.apiToken,
      claimSecret: made.claim.url.split("#")[1] ?? "",
      state: "temporary",
      expiresAt: model.now + this.ttlSeconds * 1000,
      ownerToken: null,
      says: null,
    });
    await check(model, real);
  }
  toString = (): string => `create(${this.ttlSeconds} s)`;
}

class Deploy implements fc.AsyncCommand<Model, Real> {
  readonly at: number;
  constructor(at: number) {
    this.at = at;
  }
  check = (model: Readonly<Model>): boolean => model.accounts.length > 0;
  async run(model: Model, real: Real): Promise<void> {
    const account = pick(model, this.at);
    if (!account) return;
    const says = `version ${++model.deploys} of ${account.id.slice(0, 6)}`;
    const code = `export default { fetch() { return new Response(${JSON.stringify(says)}) } }`;
    const answer = await real.house.call("PUT", `/accounts/${account.id}/workers/scripts/w`, {
      token: liveToken(account),
      body: uploadBody(code),
    });
    assert.equal(answer.success, account.state !== "gone" && !model.hostDown, JSON.stringify(answer.errors));
    if (answer.success && account.says === null) {
      const body = JSON.stringify({ enabled: true });
      const opened = await real.house.call("POST", `/accounts/${account.id}/workers/scripts/w/subdomain`, {
        token: liveToken(account),
        body,
      });
      assert.equal(opened.success, true, JSON.stringify(opened.errors));
    }
    if (answer.success) account.says = says;
    await check(model, real);
  }
  toString = (): string => `deploy(${this.at})`;
}

class Claim implements fc.AsyncCommand<Model, Real> {
  readonly at: number;
  constructor(at: number) {
    this.at = at;
  }
  check = (model: Readonly<Model>): boolean => model.accounts.length > 0;
  async run(model: Model, real: Real): Promise<void> {
    const account = pick(model, this.at);
    if (!account) return;
    const claimed = await real.house.control.claims.take(account.claimSecret, { id: "ada" }).catch((error: unknown) => error);
    if (account.state === "temporary") {
      assert.ok(!(claimed instanceof Error), String(claimed));
      account.ownerToken = (claimed as { token: string }).token;
      account.state = "claimed";
    } else {
      assert.ok(claimed instanceof PlatformError);
      assert.equal(claimed.code, account.state === "claimed" ? "claim_taken" : "claim_late");
    }
    await check(model, real);
  }
  toString = (): string => `claim(${this.at})`;
}

class End implements fc.AsyncCommand<Model, Real> {
  readonly at: number;
  constructor(at: number) {
    this.at = at;
  }
  check = (model: Readonly<Model>): boolean => model.accounts.length > 0;
  async run(model: Model, real: Real): Promise<void> {
    const account = pick(model, this.at);
    if (!account) return;
    const answer = await real.house.call("DELETE", `/accounts/${account.id}`, { token: liveToken(account) });
    assert.equal(answer.success, account.state !== "gone" && !model.hostDown);
    account.state = "gone";
    await check(model, real);
  }
  toString = (): string => `end(${this.at})`;
}

class Pass implements fc.AsyncCommand<Model, Real> {
  readonly seconds: number;
  readonly reap: boolean;
  constructor(seconds: number, reap: boolean) {
    this.seconds = seconds;
    this.reap = reap;
  }
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    real.house.clock.advance(this.seconds * 1000);
    model.now += this.seconds * 1000;
    for (const account of model.accounts) if (account.state === "temporary" && account.expiresAt <= model.now) account.state = "gone";
    if (this.reap) await real.house.control.reaper.round();
    await check(model, real);
  }
  toString = (): string => `pass(${this.seconds} s${this.reap ? ", reaped" : ""})`;
}

class HostFalls implements fc.AsyncCommand<Model, Real> {
  check = (model: Readonly<Model>): boolean => !model.hostDown;
  run(model: Model, real: Real): Promise<void> {
    model.hostDown = true;
    real.house.faults.hostDown = true;
    return check(model, real);
  }
  toString = (): string => "host falls";
}

class Restart implements fc.AsyncCommand<Model, Real> {
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    real.house = await real.reopen();
    model.hostDown = false;
    await real.house.control.reaper.round();
    await check(model, real);
  }
  toString = (): string => "restart";
}

const at = fc.nat(3);
const commands = fc.commands(
  [
    fc.integer({ min: 5, max: 60 }).map((seconds) => new Create(seconds)),
    at.map((which) => new Deploy(which)),
    at.map((which) => new Deploy(which)),
    at.map((which) => new Claim(which)),
    at.map((which) => new End(which)),
    fc.tuple(fc.integer({ min: 1, max: 30 }), fc.boolean()).map(([seconds, reap]) => new Pass(seconds, reap)),
    fc.constant(new HostFalls()),
    fc.constant(new Restart()),
  ],
  { maxCommands: MOST_COMMANDS },
);

async function play(databaseUrl: (() => Promise<string>) | null): Promise<void> {
  await fc.assert(
    fc.asyncProperty(commands, async (sequence) => {
      await using directory = await temporaryDirectory("lifecycle");
      const clock = testClock();
      const url = databaseUrl && (await databaseUrl());
      const open = () => openHouse({ directory: directory.path, databaseUrl: url, clock });
      const real: Real = {
        house: await open(),
        reopen: async () => {
          await real.house[Symbol.asyncDispose]();
          return open();
        },
      };
      try {
        await fc.asyncModelRun(() => ({ model: { accounts: [], now: clock.now(), hostDown: false, deploys: 0 }, real }), sequence);
        // Whatever happened, time ends every account that nobody claimed, and leaves tombstone and trail alone.
        real.house = await real.reopen();
        clock.advance(3_600_000);
        await real.house.control.reaper.round();
        const { db } = real.house.control.store;
        const states = await db.selectFrom("accounts").select("state").execute();
        assert.ok(
          states.every(({ state }) => state === "claimed" || state === "deleted"),
          JSON.stringify(states),
        );
        const live = await db.selectFrom("accounts").select("id").where("state", "=", "claimed").execute();
        const kept = new Set<string>(live.map(({ id }) => id));
        for (const table of ["tokens", "workers", "worker_versions", "worker_deployments", "asset_files", "asset_sessions"] as const) {
          const rows = await db.selectFrom(table).select("account_id").execute();
          assert.ok(
            rows.every(({ account_id }) => kept.has(account_id)),
            `${table} keeps no row of a deleted account`,
          );
        }
        assert.deepEqual(new Set(real.house.control.keys.accountsWithKeys()), kept);
      } finally {
        await real.house[Symbol.asyncDispose]();
      }
    }),
    { numRuns: RUNS, endOnFailure: true },
  );
}

describe("any sequence of create, deploy, claim, end, expire, crash and restart follows the model", () => {
  test("on SQLite", () => play(null));
  test("on PostgreSQL", async (t) => {
    await using stack = new AsyncDisposableStack();
    const probe = await startPostgres();
    if ("skip" in probe) {
      t.skip(probe.skip);
      return;
    }
    stack.use(probe);
    await play(async () => {
      const database = await startPostgres();
      if ("skip" in database) throw new Error(database.skip);
      return stack.use(database).url;
    });
  });
});
