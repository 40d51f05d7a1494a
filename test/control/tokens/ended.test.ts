// A token that has ended does nothing more, however long before that its request began.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createEnding } from "../../../src/control/accounts/ending.ts";
import * as transitions from "../../../src/control/accounts/transitions.ts";
import type { Grant } from "../../../src/control/permissions/actions.ts";
import { createOwnerTokens, type TokenLife } from "../../../src/control/tokens/owner-tokens.ts";
import type { PlatformError } from "../../../src/kernel/errors.ts";
import { newId } from "../../../src/kernel/ids.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { onBothDatabases, type Bench } from "../../fixtures/databases.ts";
import { openShop, upload, type Answer, type Client, type Shop } from "../../fixtures/products.ts";

const ROUNDS = 200;
const HOUR_MS = 3_600_000;
const ADA = "ada";

/** A claimed account, its owner's tokens, and ways to end them. */
async function owned(bench: Bench) {
  const shop = openShop(bench);
  const client = await shop.client();
  await bench.store.transaction((tx) => transitions.claim(tx, client.account.claim_hash ?? "", ADA, bench.clock.now()));
  const owners = createOwnerTokens({ ...bench, trail: shop.trail, tokens: shop.tokens, uses: { pending: () => null } });
  const by = { account: client.id, person: ADA };
  return {
    shop,
    client,
    make: async (life: TokenLife = "never", grant: Grant = "everything") => {
      const { secret } = await owners.make(by, { form: newId(), name: "t", grant, life });
      return { secret, principal: await shop.tokens.lookUp(secret) };
    },
    end: (token: string) => owners.end(by, token),
  };
}

const workers = async ({ bench }: Shop): Promise<number> => (await bench.store.db.selectFrom("workers").select("id").execute()).length;
const put = (client: Client, token: string, meanwhile: () => Promise<unknown>): Promise<Answer> =>
  client.call("PUT", "/workers/scripts/late", { token, body: upload(), meanwhile });

const CONTENT = "a file";
const HASH = createHash("md5").update(CONTENT).digest("hex");
const openSession = (client: Client, token: string): Promise<Answer> =>
  client.call("POST", "/workers/scripts/late/assets-upload-session", {
    token,
    json: { manifest: { "/f.txt": { hash: HASH, size: CONTENT.length } } },
  });
function sendFile(client: Client, token: string, meanwhile?: () => Promise<unknown>): Promise<Answer> {
  const body = new FormData();
  body.append(HASH, new File([Buffer.from(CONTENT).toString("base64")], HASH, { type: "text/plain" }));
  return client.call("POST", "/workers/assets/upload?base64=true", { token, body, ...(meanwhile && { meanwhile }) });
}

onBothDatabases("a token that ends", {
  "while an upload of its is on the way deploys nothing": async (bench) => {
    const { shop, client, make, end } = await owned(bench);
    const one = await make();
    const ended = await put(client, one.secret, () => end(one.principal.token));
    assert.deepEqual([ended.status, ended.code], [401, "token_refused"], ended.message);
    assert.match(ended.message, /This token was ended\..*Ask the account's owner/);
    const short = await make("1h");
    const expired = await put(client, short.secret, () => Promise.resolve(bench.clock.advance(HOUR_MS)));
    assert.deepEqual([expired.status, expired.code], [401, "token_refused"]);
    assert.match(expired.message, /This token has expired\./);
    assert.equal(await workers(shop), 0);
    const other = await make();
    assert.equal((await put(client, other.secret, () => end(one.principal.token))).status, 200, "another's end is nothing to it");
  },

  "takes its asset sessions with it: none is opened, no file of one is taken": async (bench) => {
    const { client, make, end } = await owned(bench);
    const one = await make();
    const session = await openSession(client, one.secret);
    assert.equal(session.status, 200, session.message);
    const jwt = session.result.jwt as string;
    const late = await sendFile(client, jwt, () => end(one.principal.token));
    assert.deepEqual([late.status, late.code], [401, "token_refused"], "it ended between the head and the file");
    const later = await sendFile(client, jwt);
    assert.deepEqual([later.status, later.code], [401, "token_refused"]);
    assert.match(later.message, /This token was ended/);
    assert.equal((await openSession(client, one.secret)).status, 401);
    assert.deepEqual(await bench.store.db.selectFrom("asset_files").selectAll().execute(), []);
  },

  "by its own time gives its asset sessions no more of it": async (bench) => {
    const { client, make } = await owned(bench);
    const short = await make("1h");
    bench.clock.advance(HOUR_MS - 60_000);
    const jwt = (await openSession(client, short.secret)).result.jwt as string;
    const { exp } = JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString()) as { exp: number };
    assert.equal(exp, Math.floor((short.principal.expiresAtMs ?? 0) / 1000));
    const done = await sendFile(client, jwt);
    assert.equal(done.status, 201, done.message);
    bench.clock.advance(61_000);
    assert.equal((await sendFile(client, jwt)).code, "asset_session_invalid");
    // Another token of the account has the right to deploy, and the files' own proof is as old as the token was.
    const { secret } = await make();
    const body = upload({ main_module: undefined, assets: { jwt: done.result.jwt as string } }, []);
    assert.equal((await client.call("PUT", "/workers/scripts/late", { token: secret, body })).code, "asset_session_invalid");
  },

  "ends no account any more": async (bench) => {
    const { shop, client, make, end } = await owned(bench);
    const { principal } = await make();
    await end(principal.token);
    const host = { end: () => Promise.resolve(), erase: () => Promise.resolve() };
    const ending = createEnding({ ...bench, trail: shop.trail, host, products: [], log: createLog("test", "silent") });
    await assert.rejects(ending.begin(client.id, "owner", principal), (error) => (error as PlatformError).code === "token_refused");
    const { state } = await bench.store.db.selectFrom("accounts").select("state").where("id", "=", client.id).executeTakeFirstOrThrow();
    assert.equal(state, "claimed");
  },

  "and a write at the same moment have one order: the write stands before the end, or is refused": async (bench) => {
    const { client, make, end } = await owned(bench);
    let written = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const { principal } = await make();
      const write = () =>
        bench.store.inAccount(principal, async (tx) => {
          const row = await tx.selectFrom("tokens").select("ended_at").where("id", "=", principal.token).executeTakeFirst();
          assert.equal(row?.ended_at, null, "inside a write its token stands");
          await tx.insertInto("spent_challenges").values({ id: principal.token, expires_at: 1 }).execute();
        });
      const outcome = (work: Promise<unknown>) =>
        work.then(
          () => "done",
          (error: PlatformError) => error.code ?? error,
        );
      const both = round % 2 === 0 ? [outcome(write()), outcome(end(principal.token))] : [outcome(end(principal.token)), outcome(write())];
      const [first, second] = await Promise.all(both);
      const [wrote, ended] = round % 2 === 0 ? [first, second] : [second, first];
      assert.equal(ended, "done");
      assert.ok(wrote === "done" || wrote === "token_refused", String(wrote));
      const kept = await bench.store.db.selectFrom("spent_challenges").select("id").where("id", "=", principal.token).execute();
      assert.equal(kept.length, wrote === "done" ? 1 : 0);
      written += kept.length;
    }
    assert.ok(written > 0 && written < ROUNDS, `both sides win sometimes: ${written} writes`);
    assert.equal(
      (await bench.store.db.selectFrom("accounts").select("state").where("id", "=", client.id).executeTakeFirst())?.state,
      "claimed",
    );
  },
});
