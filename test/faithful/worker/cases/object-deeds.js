// What is done inside an object, by name: its storage of keys, transactions, SQL, alarms as they are set. Run by Chamber
// (SQLite) and those that have no SQL in them by Notes (key-value) too.
import { each } from "../show.js";
import { sqlDeeds } from "./object-sql.js";

const KIB = 1024;

const put = async (storage, ...keys) => storage.put(Object.fromEntries(keys.map((key) => [key, `v${key}`])));

export const keyDeeds = {
  "put-and-get-each-type": async ({ storage }) => {
    const circle = { name: "circle" };
    circle.self = circle;
    const values = {
      text: "é🦋\ud800",
      number: -0,
      nan: NaN,
      bigint: 2n ** 70n,
      null: null,
      undefined: undefined,
      date: new Date(0),
      regexp: /a+/gi,
      map: new Map([[{ k: 1 }, "v"]]),
      set: new Set([1, "1"]),
      bytes: new Uint8Array([1, 2, 3]).subarray(1),
      buffer: new ArrayBuffer(2),
      floats: new Float64Array([1.5]),
      error: new RangeError("kept"),
      holes: Array(2),
      nested: { a: { b: [undefined, null] } },
      instance: new (class Point {
        x = 1;
      })(),
      headers: new Headers({ a: "b" }),
      url: new URL("http://a/b"),
    };
    const told = await each(
      Object.fromEntries(
        Object.entries(values).map(([name, value]) => [
          name,
          async () => {
            await storage.put(name, value);
            return storage.get(name);
          },
        ]),
      ),
    );
    await storage.put("circle", circle);
    const back = await storage.get("circle");
    return [told, back.self === back];
  },
  "put-answers-nothing": async ({ storage }) => [await storage.put("a", 1), await storage.put({ b: 2 }), await storage.sync()],
  "get-missing": ({ storage }) => storage.get("none"),
  "get-many": async ({ storage }) => {
    await put(storage, "b", "a");
    return storage.get(["b", "none", "a", "b"]);
  },
  "get-gives-a-copy": async ({ storage }) => {
    const value = { n: 1 };
    await storage.put("a", value);
    value.n = 2;
    const got = await storage.get("a");
    got.n = 3;
    return storage.get("a");
  },
  "put-without-waiting": async ({ storage }) => {
    storage.put("a", 1);
    storage.put("a", 2, { allowUnconfirmed: true, noCache: true });
    return storage.get("a", { noCache: true, allowConcurrency: true });
  },
  "delete-tells": async ({ storage }) => {
    await put(storage, "a", "b", "c");
    return [await storage.delete("a"), await storage.delete("a"), await storage.delete(["b", "none", "c"]), await storage.list()];
  },
  "list-options": async ({ storage }) => {
    await put(storage, "a", "ab", "abc", "b", "ba", "c", "é", "Z");
    const options = {
      none: undefined,
      empty: {},
      prefix: { prefix: "a" },
      start: { start: "b" },
      startAfter: { startAfter: "b" },
      end: { end: "b" },
      startAndEnd: { start: "ab", end: "b" },
      reverse: { reverse: true },
      limit: { limit: 2 },
      reverseLimit: { reverse: true, limit: 2, end: "c" },
      all: { prefix: "a", startAfter: "a", end: "abd", reverse: true, limit: 1 },
      startBeforePrefix: { prefix: "b", start: "a" },
      beyond: { start: "z" },
      endBeforeStart: { start: "b", end: "a" },
      noCache: { noCache: true, allowConcurrency: true },
    };
    return each(
      Object.fromEntries(
        Object.entries(options).map(([name, option]) => [name, async () => [...(await storage.list(option)).keys()].join(" ")]),
      ),
    );
  },
  "list-bad-options": ({ storage }) =>
    each(
      Object.fromEntries(
        [
          { limit: 0 },
          { limit: -1 },
          { limit: 1.5 },
          { limit: "x" },
          { start: "a", startAfter: "a" },
          { prefix: 7 },
          { reverse: "yes" },
        ].map((options) => [JSON.stringify(options), async () => (await storage.list(options)).size]),
      ),
    ),
  "list-order": async ({ storage }) => {
    await put(storage, "\uffff", "🦋", "z", "A", "10", "9", "");
    return [...(await storage.list()).keys()];
  },
  "delete-all": async ({ storage }) => {
    await put(storage, "a", "b");
    await storage.setAlarm(Date.now() + 600_000);
    const answer = await storage.deleteAll();
    const left = [(await storage.list()).size, (await storage.getAlarm()) === null];
    await storage.put("c", 1);
    await storage.deleteAlarm();
    return [answer, left, await storage.get("c")];
  },
  "values-of-many-sizes": ({ storage }) =>
    each(
      Object.fromEntries(
        [100 * KIB, 128 * KIB, 129 * KIB, 1500 * KIB, 2100 * KIB].map((size) => [
          `${size / KIB} KiB`,
          async () => {
            await storage.put("a", new Uint8Array(size));
            return (await storage.get("a")).length;
          },
        ]),
      ),
    ),
  "keys-of-many-sizes": ({ storage }) =>
    each(
      Object.fromEntries(
        [0, 1, 2048, 2049, 4096].map((size) => [
          `${size}`,
          async () => {
            await storage.put("k".repeat(size), 1);
            return (await storage.get("k".repeat(size))) ?? "gone";
          },
        ]),
      ),
    ),
  "many-keys-at-once": ({ storage }) => {
    const keys = (count) => Array.from({ length: count }, (_, index) => `k${index}`);
    const entries = (count) => Object.fromEntries(keys(count).map((key) => [key, 1]));
    return each({
      put128: () => storage.put(entries(128)),
      put129: () => storage.put(entries(129)),
      get128: async () => (await storage.get(keys(128))).size,
      get129: async () => (await storage.get(keys(129))).size,
      delete128: () => storage.delete(keys(128)),
      delete129: () => storage.delete(keys(129)),
    });
  },
  "odd-arguments": ({ storage }) =>
    each({
      numberKey: async () => {
        await storage.put(7, "seven");
        return storage.get("7");
      },
      nullKey: () => storage.get(null),
      noKey: () => storage.get(),
      noValue: () => storage.put("a"),
      undefinedValue: async () => {
        await storage.put("a", undefined);
        return [(await storage.list({ prefix: "a" })).size, await storage.get("a")];
      },
      function: () => storage.put("f", () => 1),
      symbol: () => storage.put("s", Symbol("s")),
      promise: () => storage.put("p", Promise.resolve(1)),
      emptyList: async () => [(await storage.get([])).size, await storage.delete([]), await storage.put({})],
    }),
  transaction: async ({ storage }) => {
    await storage.put("a", 1);
    const answer = await storage.transaction(async (transaction) => {
      await transaction.put("a", (await transaction.get("a")) + 1);
      await transaction.delete("none");
      return (await transaction.list()).size;
    });
    return [answer, await storage.get("a")];
  },
  "transaction-that-throws": async ({ storage }) => {
    await storage.put("a", 1);
    const failed = await storage
      .transaction(async (transaction) => {
        await transaction.put("a", 2);
        throw new RangeError("undone");
      })
      .catch((error) => error);
    return [failed, await storage.get("a")];
  },
  "transaction-rolled-back": async ({ storage }) => {
    await storage.put("a", 1);
    const after = await storage.transaction(async (transaction) => {
      await transaction.put("a", 2);
      transaction.rollback();
      return transaction.get("a").catch((error) => error);
    });
    return [after, await storage.get("a")];
  },
  "alarm-as-it-is-set": async ({ storage }) => {
    const none = await storage.getAlarm();
    const time = Date.now() + 600_000;
    const answer = await storage.setAlarm(new Date(time));
    const first = (await storage.getAlarm()) - time;
    await storage.setAlarm(time + 1000.9);
    const second = (await storage.getAlarm()) - time;
    return [none, answer, first, second, await storage.deleteAlarm(), await storage.getAlarm(), await storage.deleteAlarm()];
  },
  "alarm-refused": async ({ storage }) => {
    const told = await each({
      nan: () => storage.setAlarm(NaN),
      negative: () => storage.setAlarm(-1),
      text: () => storage.setAlarm("soon"),
      invalidDate: () => storage.setAlarm(new Date(NaN)),
      nothing: () => storage.setAlarm(),
    });
    await storage.deleteAlarm();
    return told;
  },
  "block-while": async (ctx) => {
    const order = [];
    const blocked = ctx.blockConcurrencyWhile(async () => {
      await scheduler.wait(5);
      order.push("blocked");
      return "answer";
    });
    order.push("after");
    return [await blocked, order];
  },
  "id-inside": async ({ id }, env, at) => [id.name === at, id.toString().length, id.constructor.name, Object.keys(id), id.equals(id)],
};

/** On SQLite alone. */
const sqliteDeeds = {
  "state-has": (ctx) => {
    const members = (value) => {
      const names = new Set();
      for (let at = value; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
        for (const name of Object.getOwnPropertyNames(at)) names.add(name);
      }
      return [...names].toSorted((a, b) => (a < b ? -1 : 1));
    };
    return { state: members(ctx), storage: members(ctx.storage), sql: members(ctx.storage.sql) };
  },
  "point-in-time": ({ storage }) =>
    each({
      current: async () => typeof (await storage.getCurrentBookmark()),
      forTime: async () => typeof (await storage.getBookmarkForTime(Date.now() - 1000)),
      restore: async () => typeof (await storage.onNextSessionRestoreBookmark("none")),
    }),
  "keys-in-one-step": ({ storage: { kv } }) => {
    kv.put("b", 2);
    kv.put("a", new Map([[1, 2]]));
    kv.put("c", 3);
    const listed = [...kv.list({ reverse: true, limit: 2 })];
    return [kv.get("a"), kv.get("none"), listed, kv.delete("a"), kv.delete("a"), [...kv.list({ prefix: "b" })]];
  },
  "keys-and-sql-are-one-database": async ({ storage }) => {
    await storage.put("a", 1);
    storage.sql.exec("CREATE TABLE t (v)");
    try {
      storage.transactionSync(() => {
        storage.kv.put("a", 2);
        storage.sql.exec("INSERT INTO t VALUES (1)");
        throw new Error("undone");
      });
    } catch {}
    return [await storage.get("a"), storage.sql.exec("SELECT count(*) AS n FROM t").one()];
  },
  "env-inside": (_ctx, env) => Object.keys(env).toSorted(),
};

export const deeds = { ...keyDeeds, ...sqliteDeeds, ...sqlDeeds };
