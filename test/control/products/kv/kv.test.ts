// Namespaces as rows on both databases, what deploys bind of them, and what of a request is refused by name before
// any process is asked. Keys and values are live.test.ts's.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { describe, test } from "node:test";
import { onWholeAccount } from "../../../../src/control/permissions/authorize.ts";
import { AGENT_ACTIONS } from "../../../../src/control/permissions/actions.ts";
import type { ErrorCode } from "../../../../src/kernel/errors.ts";
import { onBothDatabases, openBench } from "../../../fixtures/databases.ts";
import { deploy, openShop, type Answer, type Client, type Sent } from "../../../fixtures/products.ts";

const NAMESPACES = "/storage/kv/namespaces";
const create = async (client: Client, title: string): Promise<string> => {
  const made = await client.call("POST", NAMESPACES, { json: { title } });
  assert.equal(made.status, 200, made.message);
  assert.deepEqual(Object.keys(made.result).toSorted(), ["id", "supports_url_encoding", "title"]);
  return made.result.id as string;
};
const titles = (answer: Answer): string[] => answer.result.map(({ title }: { title: string }) => title);
const bound = (id: string) => ({ bindings: [{ type: "kv_namespace", name: "KV", namespace_id: id }] });

onBothDatabases("KV", {
  "makes, finds, renames and deletes namespaces": async (bench) => {
    const client = await openShop(bench).client();
    const id = await create(client, "one");
    assert.match(id, /^[0-9a-f]{32}$/);
    const renamed = await client.call("PUT", `${NAMESPACES}/${id}`, { json: { title: "uno" } });
    assert.deepEqual(renamed.result, { id, title: "uno", supports_url_encoding: true });
    assert.deepEqual((await client.call("GET", `${NAMESPACES}/${id}`)).result, renamed.result);
    assert.equal((await client.call("PUT", `${NAMESPACES}/${id}`, { json: { title: "uno" } })).status, 200);
    const gone = await client.call("DELETE", `${NAMESPACES}/${id}`);
    assert.deepEqual([gone.status, gone.result], [200, null]);
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await client.call(method, `${NAMESPACES}/${id}`, method === "PUT" ? { json: { title: "x" } } : {});
      assert.deepEqual([answer.status, answer.code, answer.number], [404, "kv_namespace_not_found", 10013], method);
    }
    assert.deepEqual((await client.call("GET", NAMESPACES)).result, []);
  },

  "refuses a title that another namespace has, with 400 and 10014, until that is gone or called otherwise": async (bench) => {
    const client = await openShop(bench).client();
    const [one, two] = [await create(client, "one"), await create(client, "two")];
    const attempts = [
      () => client.call("POST", NAMESPACES, { json: { title: "one" } }),
      () => client.call("PUT", `${NAMESPACES}/${two}`, { json: { title: "one" } }),
    ];
    for (const attempt of attempts) {
      const answer = await attempt();
      assert.deepEqual([answer.status, answer.code, answer.number], [400, "kv_title_taken", 10014]);
    }
    await client.call("DELETE", `${NAMESPACES}/${one}`);
    await create(client, "one");
  },

  "lists by page, order and direction, and an empty page past the end": async (bench) => {
    const client = await openShop(bench).client();
    for (const title of ["b", "a", "c"]) await create(client, title);
    const list = (query: string) => client.call("GET", `${NAMESPACES}?${query}`);
    assert.deepEqual(titles(await list("order=title")), ["a", "b", "c"]);
    assert.deepEqual(titles(await list("order=title&direction=desc&per_page=2")), ["c", "b"]);
    const last = await list("order=title&page=2&per_page=2");
    assert.deepEqual(titles(last), ["c"]);
    assert.deepEqual(last.info, { page: 2, per_page: 2, count: 1, total_count: 3, total_pages: 2 });
    assert.deepEqual((await list("page=2&per_page=1000&order=title&direction=asc")).result, []);
  },

  "of another account are not there": async (bench) => {
    const shop = openShop(bench);
    const [one, other] = [await shop.client(), await shop.client()];
    const id = await create(one, "mine");
    await create(other, "mine");
    assert.equal((await other.call("GET", `${NAMESPACES}/${id}`)).code, "kv_namespace_not_found");
    assert.equal((await other.call("GET", `${NAMESPACES}/${id}/values/k`)).code, "kv_namespace_not_found");
    assert.equal((await deploy(other, "w", bound(id))).code, "kv_binding_unknown");
    assert.deepEqual(titles(await one.call("GET", NAMESPACES)), ["mine"]);
  },

  "count against the account's cap, also while several are made at once": async (bench) => {
    const client = await openShop(bench).client();
    const made = await Promise.all(["a", "b", "c", "d", "e"].map((title) => client.call("POST", NAMESPACES, { json: { title } })));
    assert.equal(made.filter(({ status }) => status === 200).length, 3);
    assert.equal(made.filter(({ code }) => code === "quota_exceeded").length, 2);
    const refused = made.find(({ status }) => status !== 200);
    assert.deepEqual([refused?.status, /3 KV namespaces/.test(refused?.message ?? "")], [400, true]);
    const kv = openShop(bench).products.find(({ name }) => name === "kv");
    const account = await bench.store.db.selectFrom("accounts").selectAll().where("id", "=", client.id).executeTakeFirstOrThrow();
    assert.deepEqual(await kv?.limits?.(bench.store.db, account), [
      { name: "kv.namespaces", unit: "count", max: 3, used: 3 },
      { name: "kv.bytes", unit: "bytes", max: 1_000_000, used: null },
    ]);
    const claimed = await kv?.limits?.(bench.store.db, { ...account, state: "claimed" });
    assert.deepEqual(
      claimed?.map(({ max }) => max),
      [15, 5_000_000],
    );
  },

  "are in the trail with the deed, their titles sealed": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const id = await create(client, "secret title");
    bench.clock.advance(1);
    await client.call("PUT", `${NAMESPACES}/${id}`, { json: { title: "other" } });
    bench.clock.advance(1);
    await client.call("DELETE", `${NAMESPACES}/${id}`);
    const lines = await shop.trail.read(client.id, { limit: 10, offset: 0 });
    assert.deepEqual(lines.map(({ action, resource, outcome, text }) => [action, resource, outcome, text]).toReversed(), [
      ["kv:create", `kv/${id}`, "done", "secret title"],
      ["kv:rename", `kv/${id}`, "done", "other"],
      ["kv:delete", `kv/${id}`, "done", null],
    ]);
    const rows = await bench.store.db.selectFrom("trail").selectAll().execute();
    assert.ok(!JSON.stringify(rows.map((row) => Object.values(row).map(String))).includes("secret title"));
  },

  "are bound by id, and one that is gone leaves a stand-in and refuses the next deploy by name": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const unknown = await deploy(client, "w", bound("f".repeat(32)));
    assert.deepEqual([unknown.status, unknown.code, unknown.number], [400, "kv_binding_unknown", 10041]);
    assert.match(unknown.message, new RegExp("f".repeat(32)));
    assert.equal((await deploy(client, "none")).status, 200);
    assert.ok(
      !client.spec().units[0]?.services.some((service) => service.id === "kv"),
      "an account without namespaces has no service for them",
    );
    const id = await create(client, "one");
    assert.equal((await deploy(client, "w", bound(id))).status, 200);
    const spec = client.spec();
    assert.deepEqual(spec.keep.state?.kv, [id]);
    const binding = () =>
      client
        .spec()
        .units[0]?.services.flatMap((service) => (service.kind === "worker" ? service.bindings : []))
        .find(({ name }) => name === "KV");
    assert.deepEqual(binding(), { kind: "kv", name: "KV", service: "kv", props: JSON.stringify({ namespace: id }) });
    assert.deepEqual((await client.call("GET", "/workers/scripts/w/settings")).result.bindings, [
      { type: "kv_namespace", name: "KV", namespace_id: id },
    ]);
    await client.call("DELETE", `${NAMESPACES}/${id}`);
    assert.deepEqual(client.spec().keep.state?.kv, []);
    const standIn = binding();
    assert.equal(standIn?.kind === "service" && standIn.service, "absent");
    assert.match(JSON.stringify(standIn), new RegExp(`The KV namespace .*${id}`));
    const again = await deploy(client, "w", { bindings: [{ type: "inherit", name: "KV" }] });
    assert.deepEqual([again.status, again.code], [400, "kv_binding_unknown"]);
  },

  "are bound by those alone who may write them": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const id = await create(client, "one");
    const others = onWholeAccount(AGENT_ACTIONS.filter((action) => action !== "kv:write"));
    const one = [...others, { action: "kv:write" as const, resource: { product: "kv" as const, id }, conditions: [] }];
    assert.equal((await client.call("GET", NAMESPACES)).status, 200);
    const narrow = { ...client, token: await shop.issue(client, others) };
    const call = (token: string) => ({
      ...client,
      call: (method: string, path: string, sent: Sent = {}) => client.call(method, path, { ...sent, token }),
    });
    assert.equal((await deploy(call(narrow.token), "w", bound(id))).code, "forbidden");
    assert.equal((await deploy(call(await shop.issue(client, one)), "w", bound(id))).status, 200);
  },

  "take no write of an account that is suspended or has ended, before any byte goes to the process": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const id = await create(client, "one");
    shop.host.call = () => Promise.reject(new Error("the process was asked"));
    const at = `${NAMESPACES}/${id}`;
    const writes: readonly [method: string, path: string, sent: Sent][] = [
      ["PUT", `${at}/values/k`, { body: "x" }],
      ["DELETE", `${at}/values/k`, {}],
      ["PUT", `${at}/bulk`, { json: [{ key: "k", value: "x" }] }],
      ["POST", `${at}/bulk/delete`, { json: ["k"] }],
      ["PUT", at, { json: { title: "two" } }],
      ["POST", NAMESPACES, { json: { title: "two" } }],
      ["DELETE", at, {}],
    ];
    const account = bench.store.db.updateTable("accounts").where("id", "=", client.id);
    await account.set({ suspended_at: bench.clock.now(), suspended_by: "operator", suspended_reason: "a test" }).execute();
    for (const [method, path, sent] of writes) {
      const answer = await client.call(method, path, sent);
      assert.deepEqual([answer.status, answer.code], [403, "account_suspended"], `${method} ${path}`);
    }
    await account.set({ suspended_at: null, suspended_by: null, suspended_reason: null }).execute();
    bench.clock.advance(3_600_000);
    for (const [method, path, sent] of [...writes, ["GET", `${at}/values/k`, {}], ["GET", NAMESPACES, {}]] as const) {
      assert.equal((await client.call(method, path, sent)).status, 401, `${method} ${path}`);
    }
  },

  "keep the row of a deleted one, unseen, until its data is purged": async (bench) => {
    const shop = openShop(bench);
    const client = await shop.client();
    const id = await create(client, "one");
    // The memory host runs nothing: every call fails.
    await client.call("DELETE", `${NAMESPACES}/${id}`);
    const rows = async () =>
      (await bench.store.db.selectFrom("kv_namespaces").select(["id", "title"]).execute()).map((row) => [row.id, row.title]);
    assert.deepEqual(await rows(), [[id, ""]]);
    assert.ok(client.spec().units[0]?.services.some((service) => service.id === "kv"));
    const asked: string[] = [];
    shop.host.call = (call) => {
      asked.push(`${call.method} ${call.path} ${call.props}`);
      return Promise.resolve({ status: 200, headers: {}, body: Readable.from([Buffer.from("null")]) });
    };
    const next = await create(client, "two");
    await client.call("DELETE", `${NAMESPACES}/${next}`);
    assert.deepEqual(asked.toSorted(), [id, next].map((one) => `POST /purge {"namespace":"${one}"}`).toSorted());
    assert.deepEqual(await rows(), []);
    assert.ok(!client.spec().units[0]?.services.some((service) => service.id === "kv"));
  },
});

type Bad = readonly [what: string, method: string, path: string, sent: Sent, code: ErrorCode, message: RegExp];

const long = "k".repeat(513);
const pairs = (pair: Record<string, unknown>): Sent => ({
  json: [
    { key: "fine", value: "x" },
    { key: "k", value: "x", ...pair },
  ],
});
const form = (fields: Readonly<Record<string, string>>): Sent => {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  return { body };
};

const BAD: readonly Bad[] = [
  ["a namespace without a title", "POST", "", { json: {} }, "invalid_input", /^title: missing/],
  ["a title of spaces", "POST", "", { json: { title: "  " } }, "invalid_input", /^title: is empty/],
  ["a title that is too long", "POST", "", { json: { title: "t".repeat(513) } }, "invalid_input", /^title: is longer than 512 bytes/],
  ["a title with NUL", "POST", "", { json: { title: "a\0" } }, "invalid_input", /^title: holds a NUL/],
  ["a body that is no JSON", "POST", "", { body: "{" }, "invalid_input", /not JSON/],
  ["a list in an order that there is not", "GET", "?order=size", {}, "invalid_input", /^order/],
  ["a list in no direction", "GET", "?direction=up", {}, "invalid_input", /^direction/],
  ["a page that is none", "GET", "?page=0", {}, "invalid_input", /^page/],
  ["a key that is too long", "PUT", `/:id/values/${long}`, { body: "x" }, "invalid_input", /^key: takes 513 bytes, more than 512/],
  ["a key with NUL", "PUT", "/:id/values/a%00b", { body: "x" }, "invalid_input", /NUL/],
  [
    "a ttl that is too short",
    "PUT",
    "/:id/values/k?expiration_ttl=59",
    { body: "x" },
    "invalid_input",
    /^expiration_ttl: must be at least 60/,
  ],
  ["a ttl that is no number", "PUT", "/:id/values/k?expiration_ttl=soon", { body: "x" }, "invalid_input", /^expiration_ttl/],
  ["an expiration in the past", "PUT", "/:id/values/k?expiration=1000", { body: "x" }, "invalid_input", /^expiration: .*60 in the future/],
  ["a form without a value", "PUT", "/:id/values/k", form({ metadata: "{}" }), "invalid_input", /^value: missing/],
  [
    "a form with metadata that is no JSON",
    "PUT",
    "/:id/values/k",
    form({ value: "x", metadata: "{" }),
    "invalid_input",
    /^metadata: is not JSON/,
  ],
  [
    "a form with metadata that is too long",
    "PUT",
    "/:id/values/k",
    form({ value: "x", metadata: JSON.stringify("m".repeat(1024)) }),
    "invalid_input",
    /^metadata: takes 1026 bytes/,
  ],
  [
    "a form with another part",
    "PUT",
    "/:id/values/k",
    form({ value: "x", file: "y" }),
    "invalid_input",
    /^"file": the form has value and metadata/,
  ],
  [
    "a form whose boundary is missing",
    "PUT",
    "/:id/values/k",
    { body: "x", headers: { "content-type": "multipart/form-data" } },
    "invalid_input",
    /^body|^Content-Type/,
  ],
  ["a list of too few keys", "GET", "/:id/keys?limit=9", {}, "invalid_input", /^limit/],
  ["a list of too many keys", "GET", "/:id/keys?limit=1001", {}, "invalid_input", /^limit/],
  ["a prefix that is too long", "GET", `/:id/keys?prefix=${long}`, {}, "invalid_input", /^prefix/],
  ["a bulk read without keys", "POST", "/:id/bulk/get", { json: {} }, "invalid_input", /^keys: missing/],
  ["a bulk read of no keys", "POST", "/:id/bulk/get", { json: { keys: [] } }, "invalid_input", /^keys: is empty/],
  [
    "a bulk read of too many",
    "POST",
    "/:id/bulk/get",
    { json: { keys: Array.from({ length: 101 }, String) } },
    "invalid_input",
    /^keys: has more than 100/,
  ],
  ["a bulk read as bytes", "POST", "/:id/bulk/get", { json: { keys: ["k"], type: "bytes" } }, "invalid_input", /^type/],
  ["a bulk write that is no array", "PUT", "/:id/bulk", { json: { key: "k", value: "x" } }, "invalid_input", /^body: is not a JSON array/],
  ["a bulk write of nothing", "PUT", "/:id/bulk", { json: [] }, "invalid_input", /^body: is empty/],
  ["a bulk write with a hole", "PUT", "/:id/bulk", { body: '[{"key":"a","value":"x"},,]' }, "invalid_input", /^\[1\]: is not JSON/],
  ["a bulk write that breaks off", "PUT", "/:id/bulk", { body: '[{"key":"a","value":"x}]' }, "invalid_input", /^body: is not JSON/],
  [
    "a bulk write in other bytes than UTF-8",
    "PUT",
    "/:id/bulk",
    { body: Buffer.from('[{"key":"\xff","value":"x"}]', "latin1") },
    "invalid_input",
    /^\[0\]: is not JSON/,
  ],
  ["a bulk write without a key", "PUT", "/:id/bulk", pairs({ key: undefined }), "invalid_input", /^\[1\]\.key: missing/],
  ["a bulk write without a value", "PUT", "/:id/bulk", pairs({ value: undefined }), "invalid_input", /^\[1\]\.value: missing/],
  ["a bulk write with a key of dots", "PUT", "/:id/bulk", pairs({ key: ".." }), "invalid_input", /^\[1\]\.key: must not be "\." or "\.\."/],
  ["a bulk write with an empty key", "PUT", "/:id/bulk", pairs({ key: "" }), "invalid_input", /^\[1\]\.key: is empty/],
  ["a bulk write with a key that is too long", "PUT", "/:id/bulk", pairs({ key: long }), "invalid_input", /^\[1\]\.key: takes 513/],
  [
    "a bulk write with half a character",
    "PUT",
    "/:id/bulk",
    { body: '[{"key":"\\ud800","value":"x"}]' },
    "invalid_input",
    /^\[0\]\.key: must be Unicode/,
  ],
  [
    "a bulk write with bad base64",
    "PUT",
    "/:id/bulk",
    pairs({ value: "!", base64: true }),
    "invalid_input",
    /^\[1\]\.value: is not base64/,
  ],
  ["a bulk write with a short ttl", "PUT", "/:id/bulk", pairs({ expiration_ttl: 5 }), "invalid_input", /^\[1\]\.expiration_ttl/],
  ["a bulk write that has expired", "PUT", "/:id/bulk", pairs({ expiration: 5 }), "invalid_input", /^\[1\]\.expiration:/],
  [
    "a bulk write with much metadata",
    "PUT",
    "/:id/bulk",
    pairs({ metadata: "m".repeat(1024) }),
    "invalid_input",
    /^\[1\]\.metadata: takes/,
  ],
  ["a bulk write with a pair that is none", "PUT", "/:id/bulk", { json: ["k"] }, "invalid_input", /^\[0\]\.pair/],
  ["a bulk write nested for ever", "PUT", "/:id/bulk", { body: `[${"[".repeat(101)}${"]".repeat(101)}]` }, "invalid_input", /100 levels/],
  [
    "too many pairs",
    "PUT",
    "/:id/bulk",
    { body: `[${Array.from({ length: 10_001 }, () => '{"key":"k","value":""}').join()}]` },
    "invalid_input",
    /more than 10000 pairs/,
  ],
  ["a bulk deletion of no keys", "POST", "/:id/bulk/delete", { json: [] }, "invalid_input", /^body: is empty/],
  ["a bulk deletion of what is no key", "DELETE", "/:id/bulk", { json: ["a", 1] }, "invalid_input", /^1: /],
];

describe("KV refuses by name", () => {
  test("what cannot be", async (t) => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    // As the real one, it reads what it is sent to its end.
    shop.host.call = async (_call, body) => {
      if (body instanceof Readable) await buffer(body);
      throw new Error("a bad request came through to the process");
    };
    const client = await shop.client();
    const id = await create(client, "one");
    for (const [what, method, path, sent, code, message] of BAD) {
      await t.test(what, async () => {
        const answer = await client.call(method, NAMESPACES + path.replace(":id", id), sent);
        assert.deepEqual([answer.code, answer.status], [code, code === "invalid_input" ? 400 : 404], answer.message);
        assert.match(answer.message, message);
      });
    }
  });
});

describe("Bulk reads", () => {
  test("are not answered to a token that ended while they arrived", async () => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    const client = await shop.client();
    const id = await create(client, "one");
    shop.host.call = () => Promise.reject(new Error("the process was asked"));
    const end = () => bench.store.db.updateTable("tokens").set({ ended_at: 1 }).where("account_id", "=", client.id).execute();
    const body = JSON.stringify({ keys: ["k"] });
    const answer = await client.call("POST", `${NAMESPACES}/${id}/bulk/get`, { body, meanwhile: end });
    assert.deepEqual([answer.status, answer.code], [401, "token_refused"]);
  });

  const asked = (client: Client, id: string) =>
    client.call("POST", `${NAMESPACES}/${id}/bulk/get`, { json: { keys: ["k"], type: "json" } });

  test("refuse values that are nested too deep to be shown as JSON", async () => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    const client = await shop.client();
    const id = await create(client, "one");
    const deep = "[".repeat(100_000) + "]".repeat(100_000);
    shop.host.answer = { status: 200, body: JSON.stringify([[deep, null, null]]) };
    const answer = await asked(client, id);
    assert.deepEqual([answer.status, answer.code], [400, "invalid_input"]);
    assert.match(answer.message, /^type: json, but .* is nested deeper than 100 levels/);
  });

  test("hold no more of one account at once than the largest takes", async () => {
    await using bench = await openBench(null);
    const shop = openShop(bench);
    const client = await shop.client();
    const id = await create(client, "one");
    const chunk = Buffer.alloc(1_048_576, 0x20);
    const held = Promise.withResolvers<Readable>();
    const large = (most: number, stalled: () => void): Readable => {
      let sent = 0;
      const body: Readable = new Readable({ highWaterMark: 1, read: () => (sent++ < most ? body.push(chunk) : stalled()) });
      return body;
    };
    const bodies = [large(100, () => held.resolve(bodies[0] as Readable)), large(100, () => bodies[1]?.push(null))];
    let at = 0;
    shop.host.call = () => Promise.resolve({ status: 200, headers: {}, body: bodies[at++] as Readable });
    const first = asked(client, id);
    const body = await held.promise;
    const second = await asked(client, id);
    assert.deepEqual([second.status, second.code], [503, "capsule_failed"]);
    assert.match(second.message, /as much under way at once as it may/);
    body.destroy(new Error("over"));
    assert.equal((await first).code, "capsule_failed");
  });
});
