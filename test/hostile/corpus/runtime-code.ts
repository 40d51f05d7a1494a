// What a Worker may try with every door that the runtime has or once had: Node's modules, its own databases, what it answers and
// whom it connects to.
import type { CodeAttack } from "./attack.ts";

const FAILS = /^error: /;
/** Whatever it says, it is nobody's secret and nobody falls. */
const ANYTHING = /^/;
const UNREACHED = /^(403 error code: 1003|530 error code: 1016|400 error code: 400|error: )/;

const node = (name: string, expression: string): string => `const m = await import("node:${name}"); return await (${expression});`;
const sql = (text: string): string => `return await env.DB.prepare(${JSON.stringify(text)}).all();`;

const nodeDoors: readonly CodeAttack[] = [
  { tries: "node:vm", code: node("vm", `m.runInThisContext("process.env")`), must: FAILS },
  {
    tries: "node:vm in a context of its own",
    code: node("vm", `m.runInNewContext("this.constructor.constructor('return process')()")`),
    must: FAILS,
  },
  {
    tries: "node:worker_threads",
    code: node("worker_threads", `new m.Worker("process.exit()", { eval: true }) && "started"`),
    must: FAILS,
  },
  { tries: "node:cluster", code: node("cluster", `m.default.fork() && "forked"`), must: FAILS },
  { tries: "node:child_process spawn", code: node("child_process", `m.spawn("/bin/sh", ["-c", "id"]) && "spawned"`), must: FAILS },
  { tries: "node:child_process fork", code: node("child_process", `m.fork("/workerd") && "forked"`), must: FAILS },
  { tries: "node:inspector", code: node("inspector", `(m.open(9229, "0.0.0.0"), m.url() ?? "nothing")`), must: /^(error: |"nothing")/ },
  {
    tries: "node:dgram",
    code: node(
      "dgram",
      `new Promise((resolve, reject) => setTimeout(() => reject(new Error("nothing")), 1000) && m.createSocket("udp4").on("error", reject).send("x", 53, "127.0.0.1", (e) => e ? reject(e) : resolve("sent")))`,
    ),
    must: FAILS,
  },
  {
    tries: "node:sqlite on a file",
    code: node("sqlite", `new m.DatabaseSync("/cap/state/d1/x.sqlite").prepare("select 1").all()`),
    must: FAILS,
  },
  { tries: "node:v8 flags", code: node("v8", `(m.setFlagsFromString("--allow-natives-syntax"), "set")`), must: /^(error: |"set")/ },
  { tries: "node:v8 heap snapshot to a file", code: node("v8", `m.writeHeapSnapshot("/cap/state/heap")`), must: FAILS },
  {
    tries: "node:http2 to control",
    code: node(
      "http2",
      `new Promise((resolve, reject) => m.connect("http://127.0.0.1:{{CONTROL_PORT}}").on("connect", () => resolve("connected")).on("error", reject))`,
    ),
    must: FAILS,
  },
  {
    tries: "node:http to control",
    code: node(
      "http",
      `new Promise((resolve, reject) => m.get("http://127.0.0.1:{{CONTROL_PORT}}/healthz", (r) => { let t = ""; r.on("data", (c) => (t += c)).on("end", () => resolve(r.statusCode + " " + t)); }).on("error", reject))`,
    ),
    must: UNREACHED,
  },
  {
    tries: "node:http over a unix socket",
    code: node(
      "http",
      `new Promise((resolve, reject) => m.get({ socketPath: "{{RUN}}/control.sock", path: "/lookup" }, (r) => resolve("answered " + r.statusCode)).on("error", reject))`,
    ),
    must: ANYTHING,
  },
  {
    tries: "node:tls to control",
    code: node(
      "tls",
      `new Promise((resolve, reject) => m.connect({ host: "127.0.0.1", port: {{CONTROL_PORT}} }, () => resolve("connected")).on("error", reject))`,
    ),
    must: FAILS,
  },
  {
    tries: "node:net to the metadata address",
    code: node(
      "net",
      `new Promise((resolve, reject) => m.connect(80, "169.254.169.254").on("connect", () => { }).on("data", (d) => resolve("connected: " + d)).on("error", reject).on("close", () => reject(new Error("closed"))).write("GET / HTTP/1.0\\r\\n\\r\\n"))`,
    ),
    must: FAILS,
  },
  {
    tries: "a server of its own",
    code: node(
      "net",
      `new Promise((resolve, reject) => m.createServer().on("error", reject).listen(8080, "0.0.0.0", () => resolve("listening")))`,
    ),
    must: /^(error: |"listening")/,
  },
  {
    tries: "node:dns on the machine's own name",
    code: node("dns", `new Promise((resolve, reject) => m.lookup("localhost", (e, a) => e ? reject(e) : resolve(a)))`),
    must: ANYTHING,
  },
  { tries: "node:repl", code: node("repl", `m.start().eval("1") ?? "nothing"`), must: FAILS },
  { tries: "node:module", code: node("module", `m.default._load("fs").readFileSync("/etc/passwd", "utf8")`), must: FAILS },
  { tries: "node:os on its user", code: node("os", `JSON.stringify(m.userInfo())`), must: ANYTHING },
  { tries: "node:fs writing into the capsule's state", code: node("fs", `(m.writeFileSync("/cap/state/x", "x"), "written")`), must: FAILS },
  { tries: "node:fs writing beside the sockets", code: node("fs", `(m.writeFileSync("/s/x", "x"), "written")`), must: FAILS },
  { tries: "node:fs through a descriptor", code: node("fs", `m.readFileSync(0, "utf8") + m.readFileSync(3, "utf8")`), must: FAILS },
  { tries: "node:fs through a proc link", code: node("fs", `m.readdirSync("/proc/self/fd").join()`), must: FAILS },
  { tries: "node:fs on a device", code: node("fs", `m.readFileSync("/dev/mem").length`), must: FAILS },
  ...[
    "exit(1)",
    "abort()",
    "kill(1, 9)",
    "reallyExit(0)",
    "dlopen({}, '/x')",
    "chdir('/')",
    "setuid(0)",
    "_debugProcess(1)",
    "binding('spawn_sync')",
    "_linkedBinding('x')",
    "loadEnvFile('/cap/state/x')",
    "report.writeReport('/tmp/r')",
    "getBuiltinModule('child_process').execSync('id')",
    "mainModule.require('fs')",
  ].map((call) => ({
    tries: `process.${call}`,
    code: `const p = (await import("node:process")).default; const r = p.${call}; return "returned " + typeof r;`,
    must: /^(error: |"returned |500 )/,
  })),
];

const stored: readonly CodeAttack[] = [
  ...[
    "ATTACH DATABASE '/cap/state/d1/other.sqlite' AS other",
    "ATTACH DATABASE 'file:/etc/passwd?mode=ro' AS other",
    "VACUUM INTO '/cap/state/kv/copy'",
    "SELECT load_extension('/cap/state/x.so')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/cap/state/x', 'x')",
    "SELECT * FROM _cf_KV",
    "INSERT INTO _cf_METADATA VALUES (1, 2)",
    "DROP TABLE _cf_KV",
    "PRAGMA writable_schema = 1",
    "PRAGMA temp_store_directory = '/cap/state'",
    "PRAGMA journal_mode = OFF",
    "SELECT fts3_tokenizer('x', x'0000')",
    "CREATE VIRTUAL TABLE v USING csv(filename='/etc/passwd')",
    "CREATE VIRTUAL TABLE v USING fsdir('/')",
    "DELETE FROM sqlite_master",
    "SELECT zeroblob(2147483647)",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n || n || n FROM t LIMIT 60) SELECT max(length(n)) FROM t",
    "BEGIN; SELECT 1; COMMIT",
  ].map((text) => ({ tries: `the statement ${text}`, code: sql(text), must: FAILS })),
  {
    tries: "the list of databases",
    code: `return JSON.stringify((await env.DB.prepare("PRAGMA database_list").all()).results);`,
    must: /^(?!.*\/cap|.*\/accounts\/).*$/s,
  },
  {
    tries: "a session from another database's bookmark",
    code: `return (await env.DB.withSession("{{V_BOOKMARK}}").prepare("SELECT * FROM vault").all()).results;`,
    must: FAILS,
  },
  { tries: "a table that only another account has", code: sql("SELECT * FROM vault"), must: FAILS },
  { tries: "a pattern without end", code: sql(`SELECT '${"a".repeat(200)}' LIKE '${"%a".repeat(60)}b'`), must: ANYTHING },
  { tries: "a value of 26 MiB", code: `await env.KV.put("large", new Uint8Array(26 * 1024 * 1024)); return "put";`, must: FAILS },
  { tries: "a key of 513 bytes", code: `await env.KV.put("k".repeat(513), "x"); return "put";`, must: FAILS },
  { tries: "a key that is a dot", code: `await env.KV.put("..", "x"); return "put";`, must: FAILS },
  { tries: "an expiry in the past", code: `await env.KV.put("past", "x", { expiration: 1 }); return "put";`, must: FAILS },
  {
    tries: "a data point of too many parts",
    code: `env.AE.writeDataPoint({ blobs: Array(1000).fill("x"), doubles: Array(1000).fill(1) }); return "written";`,
    must: ANYTHING,
  },
];

const answers: readonly CodeAttack[] = [
  { tries: "a line break in a header", code: `new Headers({ x: "a\\r\\nSet-Cookie: b=c" }); return "made";`, must: FAILS },
  { tries: "a line break in a header's name", code: `new Headers({ "x\\r\\ny": "a" }); return "made";`, must: FAILS },
  {
    tries: "a line break in a status text",
    code: `new Response(null, { statusText: "OK\\r\\nX: y" }); return "made";`,
    must: /^(error: |"made")/,
  },
  { tries: "a status of its own", code: `new Response(null, { status: 999 }); return "made";`, must: FAILS },
  { tries: "an upgrade without a socket", code: `new Response(null, { status: 101 }); return "made";`, must: FAILS },
  { tries: "a log line of eight megabytes", code: `console.log("x".repeat(8 << 20)); return "logged";`, must: /^"logged"/ },
  {
    tries: "a log line with marks of its own",
    code: `console.log("%s%n%o%c", { toString() { throw new Error("no"); } }, "\\u001b[2J\\r\\n{\\"account\\":\\"{{V_ID}}\\"}"); return "logged";`,
    must: /^("logged"|error: )/,
  },
  {
    tries: "an error that lies about itself",
    code: `const e = new Error("x"); Object.defineProperty(e, "stack", { get() { throw e; } }); throw e;`,
    must: /^(error: |500 )/,
  },
  { tries: "work that never ends after its answer", code: `ctx.waitUntil(new Promise(() => {})); return "left";`, must: /^"left"/ },
  { tries: "to be let through on an exception", code: `ctx.passThroughOnException(); throw new Error("origin");`, must: FAILS },
  {
    tries: "an alarm in a hundred objects",
    code: `for (let i = 0; i < 100; i++) await env.OBJ.getByName("a" + i).wake(); return "set";`,
    must: /^"set"/,
  },
  { tries: "deep JSON", code: `return typeof JSON.parse("[".repeat(5e5) + "]".repeat(5e5));`, must: ANYTHING },
  {
    tries: "a gzip bomb for itself",
    code: `const zeros = new ReadableStream({ start(c) { for (let i = 0; i < 64; i++) c.enqueue(new Uint8Array(1 << 20)); c.close(); } });
      const packed = await new Response(zeros.pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
      const out = new Response(packed).body.pipeThrough(new DecompressionStream("gzip")); let n = 0; for await (const c of out) n += c.byteLength; return n;`,
    must: /^67108864/,
  },
  {
    tries: "a redirect without end",
    code: `return await say(await fetch("http://{{SELF}}/redirect?to=http://{{SELF}}/loop"));`,
    must: /^(200|4\d\d|5\d\d|error: )/,
  },
];

const ways: readonly CodeAttack[] = [
  ...[
    "http://[::ffff:a9fe:a9fe]/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fe80::1%25eth0]/",
    "http://[fec0::1]/",
    "http://0300.0250.0.1/",
    "http://0xa9.0xfe.0xa9.0xfe/latest/meta-data",
    "http://2852039166/latest/meta-data",
    "http://169.254.169.254./",
    "http://metadata.google.internal/",
    "http://instance-data/",
    "http://127.0.0.1%00.example.com/",
    "http://127。0。0。1/",
    "http://127.0.0.1:80@[::1]/",
    "http://localhost%2eexample.com@127.0.0.1/",
    "http://127.0.0.1.nip.io/",
    "http://localtest.me/",
    "http://0/",
    "http://00000.0/",
    "http://[::]:{{CONTROL_PORT}}/healthz",
  ].map((address) => ({
    tries: `fetch of ${address}`,
    code: `return await say(await fetch(${JSON.stringify(address)}));`,
    must: UNREACHED,
  })),
  ...[
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]:{{CONTROL_PORT}}/healthz",
    "http://2130706433:{{CONTROL_PORT}}/healthz",
    "unix:{{RUN}}/control.sock",
    "file:///etc/passwd",
    "http://control.internal/",
  ].map((to) => ({
    tries: `a redirect to ${to}`,
    code: `return await say(await fetch("http://{{SELF}}/redirect?to=" + encodeURIComponent(${JSON.stringify(to)})));`,
    must: /^(403 error code: 1003|530 error code: 1016|400 error code: 400|error: |500 )/,
  })),
  ...[
    "example.com:25",
    "example.com:465",
    "example.com:587",
    "127.0.0.1:22",
    "[::1]:5432",
    "169.254.169.254:80",
    "10.0.0.1:6379",
    "localhost:{{EDGE_PORT}}",
  ].map((address) => ({
    tries: `connect() to ${address}`,
    code: `return await open("${address}");`,
    must: FAILS,
  })),
  {
    tries: "connect() with TLS to control",
    code: `const s = connect({ hostname: "localhost", port: {{CONTROL_PORT}} }, { secureTransport: "on" }); await s.opened; return "opened";`,
    must: FAILS,
  },
  {
    tries: "a WebSocket to the metadata address",
    code: `const ws = new WebSocket("ws://169.254.169.254/"); return await new Promise((resolve, reject) => { ws.onopen = () => resolve("opened"); ws.onerror = () => reject(new Error("no")); });`,
    must: FAILS,
  },
  {
    tries: "an event source of control's",
    code: `const es = new EventSource("http://localhost:{{CONTROL_PORT}}/client/v4/accounts/{{V_ID}}/logs?follow=true"); return await new Promise((resolve, reject) => { es.onopen = () => resolve("opened"); es.onerror = () => { es.close(); reject(new Error("no")); }; });`,
    must: FAILS,
  },
];

export const runtimeCode: readonly CodeAttack[] = [...nodeDoors, ...stored, ...answers, ...ways];
