// What a Worker may do to wear its machine out: its own process may fall, its caller may get an error, nobody else notices.
import type { WearAttack } from "./attack.ts";

const handler = (body: string): string => `export default { async fetch(request, env, ctx) { ${body} } };`;
const FALLS = /^(5\d\d|cut|429)/m;
const objects = {
  bindings: [{ type: "durable_object_namespace", name: "OBJ", class_name: "Obj" }],
  migrations: { new_tag: "v1", new_sqlite_classes: ["Obj"] },
};
const object = (methods: string, body: string): string =>
  `import { DurableObject } from "cloudflare:workers"; export class Obj extends DurableObject { ${methods} } ${handler(body)}`;

export const wearers: readonly WearAttack[] = [
  { tries: "a loop", code: handler("while (true);"), paths: ["/"], must: FALLS },
  {
    tries: "a pattern that takes for ever",
    once: true,
    code: handler(`return new Response(String(/^(a+)+$/.test("a".repeat(64) + "b")));`),
    paths: ["/"],
    must: FALLS,
  },
  {
    tries: "all memory in buffers",
    code: handler("const a = []; while (true) a.push(new Uint8Array(1 << 24).fill(1));"),
    paths: ["/"],
    must: FALLS,
  },
  {
    tries: "all memory in strings",
    once: true,
    code: handler(`let s = "x".repeat(1 << 20); const a = []; while (true) a.push((s += "y") + Math.random());`),
    paths: ["/"],
    must: FALLS,
  },
  {
    tries: "all memory in an answer",
    code: handler("return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1 << 20)); } }));"),
    patienceMs: 300,
    paths: ["/"],
    must: /^(200|cut)/,
  },
  {
    tries: "an answer without end",
    code: handler(
      "const { readable, writable } = new TransformStream(); ctx.waitUntil((async () => { const w = writable.getWriter(); while (true) await w.write(new Uint8Array(1024)); })()); return new Response(readable);",
    ),
    patienceMs: 300,
    paths: ["/"],
    must: /^(200|cut)/,
  },
  {
    tries: "an answer that never begins",
    code: handler("return new Promise(() => {});"),
    patienceMs: 1500,
    paths: ["/"],
    must: /^(cut|5\d\d)/,
  },
  { tries: "itself without end", code: handler("return fetch(request.url);"), paths: ["/"], must: /^(508|5\d\d|200)/ },
  {
    tries: "itself twice for each time",
    code: handler(
      `await Promise.all([fetch(request.url + "a"), fetch(request.url + "b")].map((p) => p.catch(() => {}))); return new Response("done");`,
    ),
    paths: ["/"],
    must: /^(200|5\d\d)/,
  },
  {
    tries: "a thousand requests at once",
    once: true,
    code: handler(
      `const all = await Promise.allSettled(Array.from({ length: 1000 }, () => fetch("http://127.0.0.1/"))); return new Response(String(all.length));`,
    ),
    paths: ["/"],
    must: /^(200 1000|5\d\d)/,
  },
  {
    tries: "a log without end",
    code: handler(`for (let i = 0; i < 2000; i++) console.log("x".repeat(4000)); return new Response("logged");`),
    paths: ["/"],
    must: /^(200 logged|5\d\d)/,
  },
  {
    tries: "ten thousand timers",
    code: handler(`for (let i = 0; i < 1e4; i++) setInterval(() => {}, 1e6); return new Response("set");`),
    paths: ["/", "/"],
    must: /^(200 set|5\d\d|cut)/,
  },
  {
    tries: "a hundred thousand promises left behind",
    code: handler(`for (let i = 0; i < 1e5; i++) ctx.waitUntil(Promise.resolve(i)); return new Response("left");`),
    paths: ["/"],
    must: /^(200 left|5\d\d|cut)/,
  },
  {
    tries: "a log line that is a hundred thousand objects deep",
    code: handler(`let d = {}; for (let i = 0; i < 1e5; i++) d = { d }; d.d.o = d; console.log(d); return new Response("logged");`),
    paths: ["/"],
    must: /^(200 logged|5\d\d|cut)/,
  },
  { tries: "an exception in every request", code: handler(`throw new Error("x".repeat(100000));`), paths: ["/", "/", "/"], must: /^5\d\d/ },
  {
    tries: "an object that never comes up",
    code: object(
      "constructor(ctx, env) { super(ctx, env); ctx.blockConcurrencyWhile(() => new Promise(() => {})); } hi() { return 1; }",
      `return new Response(await env.OBJ.getByName("a").hi());`,
    ),
    metadata: objects,
    patienceMs: 1500,
    paths: ["/"],
    must: /^(cut|5\d\d)/,
  },
  {
    tries: "an alarm that sets itself at once",
    code: object(
      "async go() { await this.ctx.storage.setAlarm(Date.now()); } async alarm() { await this.ctx.storage.setAlarm(Date.now()); }",
      `await env.OBJ.getByName("a").go(); return new Response("set");`,
    ),
    metadata: objects,
    paths: ["/"],
    must: /^200 set/,
  },
  {
    tries: "an alarm that always fails",
    code: object(
      `async go() { await this.ctx.storage.setAlarm(Date.now()); } async alarm() { throw new Error("no"); }`,
      `await env.OBJ.getByName("a").go(); return new Response("set");`,
    ),
    metadata: objects,
    paths: ["/"],
    must: /^200 set/,
  },
  {
    tries: "two hundred objects",
    once: true,
    code: object("hi() { return 1; }", `for (let i = 0; i < 200; i++) await env.OBJ.getByName("a" + i).hi(); return new Response("made");`),
    metadata: objects,
    paths: ["/"],
    must: /^(200 made|5\d\d|cut)/,
  },
  {
    tries: "its disk with one object",
    code: object(
      `fill() { this.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t (b)"); for (let i = 0; i < 40; i++) this.ctx.storage.sql.exec("INSERT INTO t VALUES (randomblob(1000000))"); }`,
      `await env.OBJ.getByName("a").fill(); return new Response("filled");`,
    ),
    metadata: objects,
    paths: ["/"],
    must: /^(200 filled|5\d\d)/,
  },
];
