// Writes to every kind of state and tells what it finds: `/write/<product>?id=…` answers 200 once the write is acknowledged,
// `/read/<product>` lists every id that is there. `/version` tells which deploy serves.
import { DurableObject } from "cloudflare:workers";

export class Box extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS ids (id TEXT PRIMARY KEY)");
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS alarms (id TEXT PRIMARY KEY, due INTEGER NOT NULL, rang INTEGER)");
  }
  writeSql(id) {
    this.ctx.storage.sql.exec("INSERT INTO ids VALUES (?)", id);
  }
  writeKv(id) {
    return this.ctx.storage.put(`id:${id}`, "x".repeat(2_000));
  }
  async writeAlarm(id) {
    const due = Date.now() + 3_000;
    this.ctx.storage.sql.exec("INSERT INTO alarms VALUES (?, ?, NULL)", id, due);
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(due);
  }
  async alarm() {
    this.ctx.storage.sql.exec("UPDATE alarms SET rang = ? WHERE due <= ? AND rang IS NULL", Date.now(), Date.now());
    const [next] = this.ctx.storage.sql.exec("SELECT min(due) AS due FROM alarms WHERE rang IS NULL");
    if (next.due !== null) await this.ctx.storage.setAlarm(next.due);
  }
  async read() {
    const ids = (table) =>
      this.ctx.storage.sql
        .exec(`SELECT id FROM ${table}`)
        .toArray()
        .map(({ id }) => id);
    const keys = [...(await this.ctx.storage.list({ prefix: "id:" })).keys()].map((key) => key.slice(3));
    const rang = this.ctx.storage.sql
      .exec("SELECT id FROM alarms WHERE rang IS NOT NULL")
      .toArray()
      .map(({ id }) => id);
    return { "object-sql": ids("ids"), "object-kv": keys, alarm: ids("alarms"), rang };
  }
}

const box = (env) => env.BOX.getByName("box");

const WRITES = {
  "kv-worker": (env, id) => env.KV.put(`worker:${id}`, id),
  "d1-worker": (env, id) =>
    env.DB.batch([
      env.DB.prepare("CREATE TABLE IF NOT EXISTS worker (id TEXT PRIMARY KEY)"),
      env.DB.prepare("INSERT INTO worker VALUES (?)").bind(id),
    ]),
  "object-sql": (env, id) => box(env).writeSql(id),
  "object-kv": (env, id) => box(env).writeKv(id),
  alarm: (env, id) => box(env).writeAlarm(id),
};

async function keys(env, prefix) {
  const found = [];
  let cursor;
  do {
    const page = await env.KV.list({ prefix, cursor });
    found.push(...page.keys.map(({ name }) => name.slice(prefix.length)));
    cursor = page.cursor;
  } while (cursor);
  return found;
}

async function rows(env, table) {
  const { results } = await env.DB.prepare("SELECT name FROM sqlite_master WHERE name = ?").bind(table).all();
  if (results.length === 0) return [];
  return (await env.DB.prepare(`SELECT id FROM ${table}`).all()).results.map(({ id }) => id);
}

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const [, what, product] = pathname.split("/");
    if (what === "version") return new Response(env.VERSION);
    if (what === "write") {
      await WRITES[product](env, searchParams.get("id"));
      return new Response("kept");
    }
    return Response.json({
      "kv-worker": await keys(env, "worker:"),
      "kv-api": await keys(env, "api:"),
      "d1-worker": await rows(env, "worker"),
      "d1-api": await rows(env, "api"),
      ...(await box(env).read()),
    });
  },
};
