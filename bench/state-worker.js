// Does one operation on state, or so many in a row: `/<operation>/<times>`; `/seed` once before. The same file runs on both sides.
import { DurableObject } from "cloudflare:workers";

const KEYS = 1_000;
const VALUE = "v".repeat(100);
let turn = 0;

export class Box extends DurableObject {
  #calls = 0;
  call() {
    return ++this.#calls;
  }
}

async function seed({ KV, DB }) {
  await Promise.all(Array.from({ length: KEYS }, (_, at) => KV.put(`key-${at}`, VALUE)));
  await DB.batch([
    DB.prepare("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"),
    DB.prepare("CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"),
    ...Array.from({ length: KEYS }, (_, at) => DB.prepare("INSERT INTO rows VALUES (?, ?)").bind(at, VALUE)),
  ]);
}

/** Whether the operation did what it is to do; `at` goes round the keys. */
const OPERATIONS = {
  "kv-get": async ({ KV }, at) => (await KV.get(`key-${at}`)) === VALUE,
  "kv-put": async ({ KV }, at) => (await KV.put(`key-${at}`, VALUE)) === undefined,
  "d1-query": async ({ DB }, at) => (await DB.prepare("SELECT text FROM rows WHERE id = ?").bind(at).first("text")) === VALUE,
  "d1-insert": async ({ DB }) => (await DB.prepare("INSERT INTO log (text) VALUES (?)").bind(VALUE).run()).meta.changes === 1,
  "object-call": async ({ BOX }) => (await BOX.getByName("box").call()) > 0,
};

export default {
  async fetch(request, env) {
    const [, name, times] = new URL(request.url).pathname.split("/");
    if (name === "seed") {
      await seed(env);
      return new Response("seeded");
    }
    for (let left = Number(times); left > 0; left--) {
      if (!(await OPERATIONS[name](env, ++turn % KEYS))) return new Response(`${name} went wrong`, { status: 500 });
    }
    return new Response("done");
  },
};
