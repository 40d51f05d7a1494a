// A token in an address is refused and ended at both doors, for whoever holds it and nobody else; links' secrets are
// refused likewise, and those that can be made anew are ended.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { newSecret } from "../../src/kernel/ids.ts";
import { createLog } from "../../src/kernel/log.ts";
import { Leaks } from "../../src/host/edge/leaks.ts";
import { awaitUntil } from "../fixtures/await-until.ts";
import { openHouse, uploadBody, type House } from "../fixtures/house.ts";
import { deedsOf, openOps } from "../fixtures/operator.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const DOMAIN = "http://localhost:8787";
const percent = (text: string): string => Array.from(Buffer.from(text), (byte) => `%${byte.toString(16)}`).join("");

describe("a secret in an address", () => {
  let house: House;
  const stack = new AsyncDisposableStack();
  before(async () => {
    const directory = stack.use(await temporaryDirectory("leaked"));
    house = stack.use(await openHouse({ directory: directory.path }));
  });
  after(() => stack.disposeAsync());

  const ask = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await house.control.app.request(`${DOMAIN}${path}`, { headers: { host: "localhost:8787", ...headers } }, {});
    return { status: answer.status, body: await answer.text(), type: answer.headers.get("content-type") ?? "" };
  };
  const works = async (token: string): Promise<boolean> => (await house.call("GET", "/user/tokens/verify", { token })).status === 200;
  const ends = async (account: string): Promise<readonly (string | null)[]> => {
    const rows = await house.control.store.db
      .selectFrom("trail")
      .selectAll()
      .where("account_id", "=", account as never)
      .execute();
    return rows.filter(({ action }) => action === "token:end").map(({ reason, outcome }) => `${outcome}: ${reason}`);
  };

  for (const [where, send] of Object.entries({
    "the query of an API route": (token: string) => ask(`/client/v4/accounts?api_token=${token}`),
    "the path of an API route": (token: string) => ask(`/client/v4/accounts/${token}/logs`),
    "the query of a page": (token: string) => ask(`/sign-in?next=${token}`),
    "the path of nothing": (token: string) => ask(`/nothing/${token}/here`),
    "the query of /healthz": (token: string) => ask(`/healthz?${token}`),
    "percent-encoding": (token: string) => ask(`/client/v4/accounts?x=${percent(token)}`),
    "two layers of percent-encoding": (token: string) => ask(`/client/v4/accounts?x=${encodeURIComponent(percent(token))}`),
    "the Referer": (token: string) => ask("/client/v4/accounts", { referer: `https://elsewhere.example/?t=${token}` }),
    "its own request's Authorization too": (token: string) =>
      ask(`/client/v4/accounts?access_token=${token}`, { authorization: `Bearer ${token}` }),
  })) {
    test(`is refused and ended in ${where}`, async () => {
      const { account } = await house.provision();
      assert.ok(await works(account.apiToken));
      const { status, body } = await send(account.apiToken);
      assert.equal(status, 400, body);
      assert.match(body, /A token stood in the address.*it was ended just now/s);
      assert.ok(!body.includes(account.apiToken.slice(4, 54)), "the answer does not repeat it");
      assert.equal(await works(account.apiToken), false);
      assert.deepEqual(await ends(account.id), ["done: leaked in a URL"]);
      await send(account.apiToken);
      assert.deepEqual(await ends(account.id), ["done: leaked in a URL"], "once, however often it is seen");
    });
  }

  test("answers programs in the envelope, with token_in_url, and people on a page", async () => {
    const token = newSecret("mft");
    const program = JSON.parse((await ask(`/client/v4/x?${token}`)).body) as { errors: { code: number; documentation_url: string }[] };
    assert.equal(program.errors[0]?.code, 71484);
    assert.match(program.errors[0]?.documentation_url ?? "", /#token_in_url$/);
    const page = await ask(`/x?${token}`);
    assert.match(page.type, /^text\/html/);
    assert.match(page.body, /<h1>A token in the address<\/h1>/);
  });

  test("is answered the same whether it works, was ended, is of an account that is gone, or was never issued", async () => {
    const [living, gone] = [await house.provision(), await house.provision()];
    await house.call("DELETE", `/accounts/${gone.account.id}`, { token: gone.account.apiToken });
    const answers = [];
    for (const token of [living.account.apiToken, living.account.apiToken, gone.account.apiToken, newSecret("mft")]) {
      const { status, body } = await ask(`/client/v4/accounts?t=${token}`);
      answers.push(`${status} ${body}`);
    }
    assert.equal(new Set(answers).size, 1, answers.join("\n"));
    assert.deepEqual(await ends(gone.account.id), [], "with its account it had ended already");
  });

  test("ends nobody's token by its id, its name or a part of it", async () => {
    const { account } = await house.provision();
    const row = await house.control.store.db
      .selectFrom("tokens")
      .selectAll()
      .where("account_id", "=", account.id as never)
      .executeTakeFirstOrThrow();
    const wrong = account.apiToken.slice(0, -1) + (account.apiToken.endsWith("0") ? "1" : "0");
    for (const part of [row.id, row.hash, `mft_${row.hash.slice(0, 57)}`, account.apiToken.slice(0, 60), wrong]) {
      await ask(`/client/v4/accounts?t=${part}`);
    }
    assert.ok(await works(account.apiToken));
  });

  test("is refused at the edge before the Worker sees it, and ended soon after", async () => {
    for (const where of ["query", "path", "referer", "encoded"] as const) {
      const { account } = await house.provision();
      const token = account.apiToken;
      const code = 'export default { async fetch(request) { console.log(request.url); return new Response("reached"); } };';
      const scripts = `/accounts/${account.id}/workers/scripts/app`;
      assert.equal((await house.call("PUT", scripts, { token, body: uploadBody(code) })).status, 200);
      await house.call("POST", `${scripts}/subdomain`, { token, body: '{"enabled":true}' });
      const label = `app--${account.name.split(" ")[0]}`;
      assert.equal((await house.edge(label, "/fine")).body, "reached");
      const paths = { query: `/?t=${token}`, path: `/a/${token}`, referer: "/fine", encoded: `/?t=${percent(token)}` };
      const headers: Record<string, string> = where === "referer" ? { referer: `http://console.example/#?t=${token}` } : {};
      const answer = await house.edge(label, paths[where], { accept: "application/json", ...headers });
      assert.equal(answer.status, 400, where);
      assert.equal((JSON.parse(answer.body) as { error: string }).error, "token_in_url");
      await awaitUntil(async () => !(await works(token)), { what: "control has ended it" });
      assert.deepEqual(await ends(account.id), ["done: leaked in a URL"]);
    }
  });

  test("of a claim link is refused, and the link still opens its account", async () => {
    const { account, claim } = await house.provision();
    const secret = claim.url.split("#")[1] ?? "";
    for (const path of [`/claim?${secret}`, `/claim/${secret}`]) {
      const { status, body } = await ask(path);
      assert.equal(status, 400);
      assert.match(body, /claim the account soon/);
    }
    const { errors } = JSON.parse((await ask(`/client/v4/x?${secret}`)).body) as { errors: { code: number; documentation_url: string }[] };
    assert.match(errors[0]?.documentation_url ?? "", /#link_in_url$/);
    assert.equal((await house.edge("app--nobody", `/?${secret}`)).status, 400);
    assert.equal((await house.control.claims.find(secret)).claimability.kind, "open");
    assert.ok(await works(account.apiToken));
  });

  test("of an operator's link or an invitation is refused and ended", async () => {
    const { people, store } = house.control;
    const secret = (await people.operatorLink())?.split("#")[1] ?? assert.fail("there is no link");
    assert.equal(await people.invitation(secret), "operator");
    assert.match((await ask(`/operator?${secret}`)).body, /Ask for a new link/);
    assert.equal(await people.invitation(secret), null);
    const rows = await store.db.selectFrom("trail").selectAll().where("action", "=", "invitation:end").execute();
    assert.deepEqual(
      rows.map(({ reason }) => reason),
      ["leaked in a URL"],
    );
  });
});

test("an operator's key in an address is refused and ended at both doors, whoever else holds one", async () => {
  await using ops = await openOps();
  const works = async (bearer: string): Promise<boolean> => (await ops.call("GET", "/operator/overview", { bearer })).status === 200;
  const [first, second, other] = [await ops.makeKey("full"), await ops.makeKey("read"), await ops.makeKey("read")];
  const told = await ops.call("GET", `/operator/overview?key=${first}`, { bearer: first });
  assert.deepEqual([told.status, told.code], [400, "token_in_url"]);
  assert.match(told.message, /An operator's key stood in the address.*it was ended just now/s);
  const unknown = await ops.call("GET", `/operator/overview?key=${newSecret("mfk")}`, { bearer: other });
  assert.equal(unknown.message, told.message, "whether it worked is not told");
  await ops.control.capsuleControl.leaked([second, second, newSecret("mfk")]);
  assert.deepEqual([await works(first), await works(second), await works(other)], [false, false, true]);
  const deeds = await deedsOf(ops, "operator-key:end");
  assert.deepEqual(
    deeds.map(({ actors, reason }) => [...actors, reason]),
    [
      ["mayfly", "leaked in a URL"],
      ["mayfly", "leaked in a URL"],
    ],
  );
});

test("hundreds of made-up ones in one address are looked up together, and begin no transaction", async () => {
  await using ops = await openOps();
  const store = ops.control.store as { transaction: unknown; inAccount: unknown };
  let begun = 0;
  for (const name of ["transaction", "inAccount"] as const) {
    const own = store[name] as (...given: unknown[]) => unknown;
    store[name] = (...given: unknown[]) => {
      begun++;
      return own(...given);
    };
  }
  for (const kind of ["mft", "mfo", "mfi", "mfk"] as const) {
    const query = Array.from({ length: 400 }, () => newSecret(kind)).join("&");
    assert.equal((await ops.call("GET", `/accounts?${query}`)).status, 400, kind);
  }
  assert.equal(begun, 0);
  const worked = await ops.makeKey("read");
  begun = 0;
  const among = [...Array.from({ length: 200 }, () => newSecret("mfk")), worked, newSecret("mft")].join("&");
  assert.equal((await ops.call("GET", `/accounts?${among}`)).status, 400);
  assert.equal(begun, 1);
  assert.equal((await ops.call("GET", "/operator/overview", { bearer: worked })).status, 401, "one that works is found among them");
});

describe("the edge's word to control", () => {
  const asked = (secret: string) => ({ url: `/?${secret}`, headers: {} }) as never;

  test("is said again when control does not listen, in bulk and once for each secret", async () => {
    const told: (readonly string[])[] = [];
    let down = 2;
    const leaks = new Leaks(
      async (secrets) => {
        if (down-- > 0) throw new Error("control restarts");
        told.push(secrets);
      },
      createLog("test", "silent"),
    );
    using _ = leaks;
    const secrets = Array.from({ length: 150 }, () => newSecret("mft"));
    for (const secret of [...secrets, ...secrets]) assert.equal(leaks.refusal(asked(secret))?.code, "token_in_url");
    await awaitUntil(() => told.flat().length >= secrets.length, { what: "all are told" });
    assert.deepEqual(told.flat(), secrets);
    assert.deepEqual(
      told.map((batch) => batch.length),
      [100, 50],
    );
  });

  test("is said of an operator's key as of a token", () => {
    using leaks = new Leaks(() => Promise.resolve(), createLog("test", "silent"));
    assert.equal(leaks.refusal(asked(newSecret("mfk")))?.code, "token_in_url");
  });

  test("is not said of an address without a secret", () => {
    using leaks = new Leaks(() => assert.fail("nothing is told"), createLog("test", "silent"));
    assert.equal(leaks.refusal(asked("mft_not-one")), null);
  });
});
