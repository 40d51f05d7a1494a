// What a Worker may try against the machine that runs it and against every address that is not the public Internet.
import type { CodeAttack } from "./attack.ts";

const fs = (expression: string): string => `const fs = await import("node:fs"); return ${expression};`;

/** No such file, no such thing, or not allowed: an error of any kind. */
const FAILS = /^error: /;
/** An answer of the egress that names the reason, or an error. */
const REFUSED = /^(403 error code: 1003|error: )/;
/** The same, or a name without an address. */
const UNREACHED = /^(403 error code: 1003|530 error code: 1016|400 error code: 400|error: )/;

const fileAttacks: readonly CodeAttack[] = [
  { tries: "node:fs on the machine's users", code: fs(`fs.readFileSync("/etc/passwd", "utf8")`), must: FAILS },
  { tries: "node:fs on the root directory", code: fs(`fs.readdirSync("/").sort().join()`), must: /^"(bundle|dev|tmp|,)*"$/ },
  { tries: "node:fs on what the Worker is made of", code: fs(`fs.readdirSync("/bundle").join()`), must: /^"[a-z./,]*"$/ },
  { tries: "node:fs on another account's code", code: fs(`fs.readFileSync("{{VICTIM_FILE}}", "utf8")`), must: FAILS },
  { tries: "node:fs on all accounts", code: fs(`fs.readdirSync("{{DATA}}/accounts")`), must: FAILS },
  { tries: "node:fs upwards", code: fs(`fs.readdirSync("/bundle/../../../../etc")`), must: FAILS },
  { tries: "node:fs on the capsule's own directory", code: fs(`fs.readdirSync("/cap")`), must: FAILS },
  { tries: "node:fs on the process's environment", code: fs(`fs.readFileSync("/proc/self/environ", "utf8")`), must: FAILS },
  { tries: "node:fs on the master key", code: fs(`fs.readFileSync("{{DATA}}/master.key", "utf8")`), must: FAILS },
  {
    tries: "a symbolic link to a file of the machine",
    code: `const fs = await import("node:fs"); fs.symlinkSync("/etc/passwd", "/tmp/link"); return fs.readFileSync("/tmp/link", "utf8");`,
    must: FAILS,
  },
  { tries: "import of a file's URL", code: `return String(Object.keys(await import("file:///etc/passwd")));`, must: FAILS },
  { tries: "import of an absolute path", code: `return String(Object.keys(await import("/etc/passwd")));`, must: FAILS },
  { tries: "import upwards", code: `return String(Object.keys(await import("../../../../etc/passwd")));`, must: FAILS },
  { tries: "import of the runtime's unsafe module", code: `return String(Object.keys(await import("workerd:unsafe")));`, must: FAILS },
  {
    tries: "import of the runtime's insides",
    code: `return String(Object.keys(await import("cloudflare-internal:d1-api")));`,
    must: FAILS,
  },
  { tries: "import of the bundled products", code: `return String(Object.keys(await import("/workerd/kv.js")));`, must: FAILS },
  {
    tries: "require from the root",
    code: `const { createRequire } = await import("node:module"); return createRequire("/")("/etc/passwd");`,
    must: FAILS,
  },
  { tries: "fetch of a file", code: `return await say(await fetch("file:///etc/passwd"));`, must: UNREACHED },
  { tries: "a shell", code: `const { execSync } = await import("node:child_process"); return String(execSync("id"));`, must: FAILS },
  { tries: "eval", code: `return eval("1 + 1");`, must: FAILS },
  { tries: "a function from text", code: `return new Function("return 1")();`, must: FAILS },
  {
    tries: "the runtime's bindings",
    code: `const process = await import("node:process"); return String(Object.keys(process.default.binding("fs")));`,
    must: FAILS,
  },
];

const environmentAttacks: readonly CodeAttack[] = [
  { tries: "process.env", code: `return Object.keys(process.env).sort().join();`, must: /^"(CANARY_OF_MY_OWN)?"$/ },
  { tries: "env", code: `return Object.keys(env).sort().join();`, must: /^"AE,CANARY_OF_MY_OWN,DB,KV,OBJ,OWN"$/ },
  { tries: "process.argv", code: `return process.argv.join();`, must: /^"?[^/]*"?$|^error: / },
  { tries: "the host's name", code: `const os = await import("node:os"); return os.hostname();`, must: /^("(localhost)?"|error: )/ },
  {
    tries: "the machine's network",
    code: `const os = await import("node:os"); return JSON.stringify(os.networkInterfaces());`,
    must: /^("\{\}"|error: )/,
  },
  { tries: "who is at the other end of the socket", code: `return JSON.stringify(request.cf);`, must: /^(?!.*client(Pid|Uid)).*$/ },
  {
    tries: "another account's cache",
    code: `return String(await caches.default.match("http://victim/cached"));`,
    must: /^("undefined"|error: )/,
  },
];

const socketAttacks: readonly CodeAttack[] = [
  { tries: "connect() to control's socket by URL", code: `return open("unix:{{RUN}}/control.sock");`, must: FAILS },
  {
    tries: "connect() to host's socket as a host name",
    code: `return open({ hostname: "unix:{{RUN}}/host.sock", port: 80 });`,
    must: FAILS,
  },
  { tries: "connect() to a path", code: `return open({ hostname: "{{RUN}}/control.sock", port: 80 });`, must: FAILS },
  {
    tries: "fetch of control's socket",
    code: `return await say(await fetch("http://unix:{{RUN}}/control.sock:/lookup"));`,
    must: UNREACHED,
  },
  { tries: "fetch with a unix scheme", code: `return await say(await fetch("unix:{{RUN}}/control.sock"));`, must: UNREACHED },
  {
    tries: "node:net to control's socket",
    code: `const net = await import("node:net");
      return await new Promise((resolve, reject) => net.connect({ path: "{{RUN}}/control.sock" }).on("connect", () => resolve("connected")).on("error", reject));`,
    must: FAILS,
  },
  {
    tries: "fetch of a service by our name for it",
    code: `return await say(await fetch("http://mayfly:control/ping"));`,
    must: UNREACHED,
  },
  { tries: "fetch of the egress by name", code: `return await say(await fetch("http://egress/"));`, must: UNREACHED },
  {
    tries: "a redirect to control",
    code: `return await say(await fetch("http://{{SELF}}/redirect?to=http://127.0.0.1/healthz"));`,
    must: REFUSED,
  },
  {
    tries: "control under the edge's domain",
    code: `return await say(await fetch("http://control.mayfly.localhost:{{CONTROL_PORT}}/healthz"));`,
    must: /^404 /,
  },
  {
    tries: "control by a Host header",
    code: `return await say(await fetch("http://{{SELF}}/echo-host", { headers: { host: "localhost:{{CONTROL_PORT}}" } }));`,
    must: /^200 {{SELF}}/,
  },
  { tries: "a user part before control", code: `return await say(await fetch("http://example.com@127.0.0.1/healthz"));`, must: REFUSED },
  { tries: "a backslash before control", code: `return await say(await fetch("http://127.0.0.1\\\\@example.com/"));`, must: REFUSED },
];

/** Every spelling of what is not the public Internet. */
const ADDRESSES =
  `127.0.0.1 localhost LOCALHOST localhost. anything.localhost [::1] 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 127.1 127.000.000.001
   0 0.0.0.0 [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:0:0:1] [64:ff9b::7f00:1] [2002:7f00:1::] 127.255.255.254 10.0.0.1
   172.16.0.1 192.168.0.1 100.64.0.1 [fd00::1] 169.254.169.254 [fd00:ec2::254] [fe80::1] 168.63.129.16 224.0.0.1 255.255.255.255 192.0.2.1 ①②⑦.⓪.⓪.①`.split(
    /\s+/,
  );

/** @param own addresses of this machine, as they stand in a URL */
function addressAttacks(own: readonly string[]): CodeAttack[] {
  return [...ADDRESSES, ...own].flatMap((address) => [
    { tries: `fetch of ${address}`, code: `return await say(await fetch("http://${address}/healthz"));`, must: UNREACHED },
    {
      tries: `fetch of ${address} at control's port`,
      code: `return await say(await fetch("http://${address}:{{CONTROL_PORT}}/healthz"));`,
      must: REFUSED,
    },
    { tries: `connect() to ${address}`, code: `return await open("${address}:80");`, must: FAILS },
    { tries: `connect() to ${address} at control's port`, code: `return await open("${address}:{{CONTROL_PORT}}");`, must: FAILS },
    {
      tries: `a WebSocket to ${address}`,
      code: `return await say(await fetch("http://${address}/", { headers: { upgrade: "websocket" } }));`,
      must: UNREACHED,
    },
  ]);
}

export const machineCode = (own: readonly string[]): readonly CodeAttack[] => [
  ...fileAttacks,
  ...environmentAttacks,
  ...socketAttacks,
  ...addressAttacks(own),
];
