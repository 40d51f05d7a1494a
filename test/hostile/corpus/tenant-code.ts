// What a Worker may try against other accounts, and against the platform's own Workers beside it.
import type { CodeAttack } from "./attack.ts";

const FAILS = /^error: /;
/** Whatever it says, it is nobody's secret and nobody falls. */
const ANYTHING = /^/;
const UNREACHED = /^(403 error code: 1003|530 error code: 1016|400 error code: 400|error: )/;
const NOTHING = /^(null|undefined|"null"|"undefined"|error: )/;

const otherAccounts: readonly CodeAttack[] = [
  { tries: "another account's cache by its URL", code: `return await caches.default.match("http://{{V_HOST}}/cached");`, must: NOTHING },
  {
    tries: "another account's cache by its name",
    code: `const c = await caches.open("vault"); return await c.match("http://{{V_HOST}}/cached");`,
    must: NOTHING,
  },
  {
    tries: "poisoning another account's cache",
    code: `await caches.default.put("http://{{V_HOST}}/cached", new Response("poison", { headers: { "cache-control": "max-age=600" } })); return "put";`,
    must: /^("put"|error: )/,
  },
  {
    tries: "deleting from another account's cache",
    code: `return await caches.default.delete("http://{{V_HOST}}/cached");`,
    must: /^(true|false|error: )/,
  },
  { tries: "a key of another account's namespace", code: `return await env.KV.get("secret");`, must: NOTHING },
  { tries: "another namespace's id in a key", code: `return await env.KV.get("{{V_KV}}/secret");`, must: NOTHING },
  { tries: "a way up in a key", code: `return await env.KV.get("../{{V_KV}}/secret");`, must: NOTHING },
  { tries: "an encoded way up in a key", code: `return await env.KV.get("..%2f{{V_KV}}%2fsecret");`, must: NOTHING },
  { tries: "a NUL in a key", code: `return await env.KV.get("a\\0/../{{V_KV}}/secret");`, must: NOTHING },
  { tries: "a query in a key", code: `return await env.KV.get("x?namespace={{V_KV}}&key=secret");`, must: NOTHING },
  { tries: "a listing of every key", code: `return (await env.KV.list()).keys.length < 50;`, must: /^true/ },
  {
    tries: "a listing from a forged cursor",
    code: `return (await env.KV.list({ cursor: btoa("{{V_KV}}:secret") })).keys;`,
    must: /^(\[|error: )/,
  },
  {
    tries: "a namespace of its own making",
    code: `return await new env.KV.constructor({ namespace: "{{V_KV}}" }).get("secret");`,
    must: FAILS,
  },
  {
    tries: "a binding's hidden fetcher",
    code: `return String(await env.KV.fetch?.("http://x/secret?namespace={{V_KV}}"));`,
    must: ANYTHING,
  },
  {
    tries: "a database's hidden fetcher",
    code: `return Reflect.ownKeys(env.DB).concat(Reflect.ownKeys(Object.getPrototypeOf(env.DB))).join();`,
    must: ANYTHING,
  },
  { tries: "the id of another account's object", code: `return env.OBJ.idFromString("{{V_OBJECT}}").toString();`, must: FAILS },
  { tries: "another account's object by its name", code: `return await env.OBJ.getByName("vault").mine();`, must: /^"mine/ },
  { tries: "a method that an object does not have", code: `return await env.OBJ.getByName("vault").constructor();`, must: FAILS },
  { tries: "an object's storage from outside", code: `return await env.OBJ.getByName("vault").ctx;`, must: /^(\{\}|error: )/ },
  { tries: "a prototype's method by RPC", code: `return await env.OBJ.getByName("vault").__proto__();`, must: FAILS },
  { tries: "another account's points", code: `env.AE.writeDataPoint({ blobs: ["forged"] }); return "written";`, must: /^"written"/ },
  {
    tries: "another account's Worker through its own",
    code: `return await say(await env.OWN.fetch("http://{{V_HOST}}/hidden"));`,
    must: /^200 own/,
  },
  {
    tries: "another account's hidden page as the platform",
    code: `return await say(await fetch("http://{{V_HOST}}/hidden", { headers: { "mayfly-control": "1", "cf-worker": "vault", "cf-access-jwt-assertion": "x" } }));`,
    must: /^200 vault/,
  },
  {
    tries: "another account's version by an override",
    code: `return await say(await fetch("http://{{V_HOST}}/hidden", { headers: { "Cloudflare-Workers-Version-Overrides": 'vault="{{V_OLD_VERSION}}"' } }));`,
    must: /^200 vault/,
  },
  {
    tries: "another account's Worker by a forged address",
    code: `return await say(await fetch("http://{{V_HOST}}/hidden", { cf: { resolveOverride: "127.0.0.1" } }));`,
    must: /^(200 vault|error: |4\d\d )/,
  },
  {
    tries: "a WebSocket into another account's tail",
    code: `const ws = new WebSocket("ws://localhost:{{CONTROL_PORT}}/client/v4/tails/{{V_TAIL}}");
      return await new Promise((resolve, reject) => { ws.onopen = () => resolve("opened"); ws.onerror = () => reject(new Error("no")); ws.onclose = () => reject(new Error("closed")); });`,
    must: FAILS,
  },
  {
    tries: "the API with a Worker's own fetch",
    code: `return await say(await fetch("http://localhost:{{CONTROL_PORT}}/client/v4/accounts/{{V_ID}}", { headers: { authorization: "Bearer {{ME_TOKEN}}" } }));`,
    must: UNREACHED,
  },
  {
    tries: "a claim from inside",
    code: `return await say(await fetch("http://localhost:{{CONTROL_PORT}}/claim/open", { method: "POST", body: "link=x" }));`,
    must: UNREACHED,
  },
  {
    tries: "the edge by its address and another's name",
    code: `return await say(await fetch("http://127.0.0.1:{{EDGE_PORT}}/", { headers: { host: "{{V_HOST}}" } }));`,
    must: UNREACHED,
  },
  { tries: "connect() to the edge", code: `return await open("127.0.0.1:{{EDGE_PORT}}");`, must: FAILS },
  { tries: "connect() to another account's Worker", code: `return await open("{{V_HOST}}:80");`, must: FAILS },
];

const platform: readonly CodeAttack[] = [
  {
    tries: "the exports of its neighbours",
    code: `return Object.keys(ctx.exports ?? {}).sort().join();`,
    must: /^"(Mine|Own|default|,)*"/,
  },
  {
    tries: "an entrypoint that is ours",
    code: `return typeof ctx.exports?.KVNamespace + typeof ctx.exports?.Control + typeof ctx.exports?.CacheStore;`,
    must: /^"undefinedundefinedundefined"/,
  },
  {
    tries: "props of its own making on its own export",
    code: `const own = ctx.exports?.Own; if (!own) return "none"; return await own({ props: { namespace: "{{V_KV}}", account: "{{V_ID}}" } }).told();`,
    must: /^("none"|"own \{|error: )/,
  },
  { tries: "the props that it was given", code: `return JSON.stringify(ctx.props ?? {});`, must: /^"\{\}"/ },
  { tries: "a control entrypoint of a service", code: `return await env.KV.Control;`, must: NOTHING },
  { tries: "the debug port", code: `return Object.keys(await import("workerd:debug-port")).join();`, must: FAILS },
  {
    tries: "the runtime's unsafe eval",
    code: `return env.UNSAFE_EVAL?.eval("1") ?? (await import("workerd:unsafe-eval")).default.eval("1");`,
    must: FAILS,
  },
  { tries: "memory caches of the process", code: `return Object.keys(await import("workerd:memory-cache")).join();`, must: FAILS },
  ...[
    "cloudflare-internal:env",
    "cloudflare-internal:unsafe",
    "cloudflare-internal:workers",
    "node-internal:internal_process",
    "mayfly:control",
    "cloudflare:internal",
  ].map((name) => ({
    tries: `import of ${name}`,
    code: `return Object.keys(await import("${name}")).join();`,
    must: FAILS,
  })),
  ...[
    "/workerd/d1.js",
    "/workerd/cron.js",
    "kv.js",
    "./kv.js",
    "../d1.js",
    "file:///workerd",
    "data:text/javascript,export default 1",
    "https://example.com/x.js",
    "blob:null/x",
    "node:../fs",
  ].map((name) => ({
    tries: `import of ${name}`,
    code: `return Object.keys(await import(${JSON.stringify(name)})).join();`,
    must: FAILS,
  })),
  {
    tries: "everything in cloudflare:workers",
    code: `const w = await import("cloudflare:workers"); return JSON.stringify(w.env ?? {}) + Object.keys(w.exports ?? {}).join();`,
    must: ANYTHING,
  },
  {
    tries: "code from text by a timer",
    code: `setTimeout("globalThis.x = 1", 0); await scheduler.wait(5); return typeof globalThis.x;`,
    must: /^("undefined"|error: )/,
  },
  {
    tries: "code from text by an async function",
    code: `return await Object.getPrototypeOf(async () => {}).constructor("return 1")();`,
    must: FAILS,
  },
  {
    tries: "code from text by a generator",
    code: `return [...Object.getPrototypeOf(function* () {}).constructor("yield 1")()];`,
    must: FAILS,
  },
  {
    tries: "code from WebAssembly bytes",
    code: `await WebAssembly.instantiate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])); return "compiled";`,
    must: FAILS,
  },
  {
    tries: "a WebAssembly module from bytes",
    code: `new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])); return "compiled";`,
    must: FAILS,
  },
  {
    tries: "frames of the runtime",
    code: `Error.prepareStackTrace = (_, sites) => sites; const sites = new Error().stack; delete Error.prepareStackTrace; return Array.isArray(sites) ? sites.map((site) => typeof site.getThis?.() + site.getFileName?.()).join() : "text";`,
    must: ANYTHING,
  },
  { tries: "blocking on shared memory", code: `return Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0, 60000);`, must: FAILS },
  {
    tries: "the collector",
    code: `return typeof gc + typeof Deno + typeof Bun + typeof require + typeof importScripts + typeof Worker + typeof SharedWorker;`,
    must: /^"(undefined){7}"/,
  },
  {
    tries: "a service worker",
    code: `return String(navigator.serviceWorker?.register) + typeof ServiceWorkerGlobalScope;`,
    must: ANYTHING,
  },
  {
    tries: "a prototype that everyone shares",
    code: `Object.prototype.namespace = "{{V_KV}}"; try { return await env.KV.get("secret"); } finally { delete Object.prototype.namespace; }`,
    must: NOTHING,
  },
  {
    tries: "a getter that everyone shares",
    code: `Object.defineProperty(Object.prototype, "props", { configurable: true, get: () => ({ namespace: "{{V_KV}}" }) }); try { return await env.KV.get("secret"); } finally { delete Object.prototype.props; }`,
    must: NOTHING,
  },
  {
    tries: "arrays that answer for others",
    code: `const was = Array.prototype.push; Array.prototype.push = function () { return 0; }; try { return await env.KV.get("secret"); } finally { Array.prototype.push = was; }`,
    must: NOTHING,
  },
];

export const tenantCode: readonly CodeAttack[] = [...otherAccounts, ...platform];
