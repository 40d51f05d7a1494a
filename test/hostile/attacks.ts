// What a Worker may try against the machine that runs it, as data: the code that it runs, and what must come of it.
// Names in capitals are filled in by isolation.test.ts.

/** What came of it: the value that the code returned, or the error that it threw, as text. */
export type Attack = { readonly tries: string; readonly code: string; readonly outcome: RegExp };

const fs = (expression: string): string => `const fs = await import("node:fs"); return ${expression};`;

/** No such file, no such thing, or not allowed: an error of any kind. */
const FAILS = /^error: /;
/** An answer of the egress that names the reason, or an error. */
const REFUSED = /^(403 error code: 1003|error: )/;
/** The same, or a name without an address. */
const UNREACHED = /^(403 error code: 1003|530 error code: 1016|400 error code: 400|error: )/;

const fileAttacks: readonly Attack[] = [
  { tries: "node:fs on the machine's users", code: fs(`fs.readFileSync("/etc/passwd", "utf8")`), outcome: FAILS },
  { tries: "node:fs on the root directory", code: fs(`fs.readdirSync("/").sort().join()`), outcome: /^"(bundle|dev|tmp|,)*"$/ },
  { tries: "node:fs on what the Worker is made of", code: fs(`fs.readdirSync("/bundle").join()`), outcome: /^"[a-z./,]*"$/ },
  { tries: "node:fs on another account's code", code: fs(`fs.readFileSync("VICTIM_FILE", "utf8")`), outcome: FAILS },
  { tries: "node:fs on all accounts", code: fs(`fs.readdirSync("DATA/accounts")`), outcome: FAILS },
  { tries: "node:fs upwards", code: fs(`fs.readdirSync("/bundle/../../../../etc")`), outcome: FAILS },
  { tries: "node:fs on the capsule's own directory", code: fs(`fs.readdirSync("/cap")`), outcome: FAILS },
  { tries: "node:fs on the process's environment", code: fs(`fs.readFileSync("/proc/self/environ", "utf8")`), outcome: FAILS },
  { tries: "node:fs on the master key", code: fs(`fs.readFileSync("DATA/master.key", "utf8")`), outcome: FAILS },
  {
    tries: "a symbolic link to a file of the machine",
    code: `const fs = await import("node:fs"); fs.symlinkSync("/etc/passwd", "/tmp/link"); return fs.readFileSync("/tmp/link", "utf8");`,
    outcome: FAILS,
  },
  { tries: "import of a file's URL", code: `return String(Object.keys(await import("file:///etc/passwd")));`, outcome: FAILS },
  { tries: "import of an absolute path", code: `return String(Object.keys(await import("/etc/passwd")));`, outcome: FAILS },
  { tries: "import upwards", code: `return String(Object.keys(await import("../../../../etc/passwd")));`, outcome: FAILS },
  { tries: "import of the runtime's unsafe module", code: `return String(Object.keys(await import("workerd:unsafe")));`, outcome: FAILS },
  {
    tries: "import of the runtime's insides",
    code: `return String(Object.keys(await import("cloudflare-internal:d1-api")));`,
    outcome: FAILS,
  },
  { tries: "import of the bundled products", code: `return String(Object.keys(await import("/workerd/kv.js")));`, outcome: FAILS },
  {
    tries: "require from the root",
    code: `const { createRequire } = await import("node:module"); return createRequire("/")("/etc/passwd");`,
    outcome: FAILS,
  },
  { tries: "fetch of a file", code: `return await say(await fetch("file:///etc/passwd"));`, outcome: UNREACHED },
  { tries: "a shell", code: `const { execSync } = await import("node:child_process"); return String(execSync("id"));`, outcome: FAILS },
  { tries: "eval", code: `return eval("1 + 1");`, outcome: FAILS },
  { tries: "a function from text", code: `return new Function("return 1")();`, outcome: FAILS },
  {
    tries: "the runtime's bindings",
    code: `const process = await import("node:process"); return String(Object.keys(process.default.binding("fs")));`,
    outcome: FAILS,
  },
];

const environmentAttacks: readonly Attack[] = [
  { tries: "process.env", code: `return Object.keys(process.env).sort().join();`, outcome: /^"(CANARY_OF_MY_OWN)?"$/ },
  { tries: "env", code: `return Object.keys(env).sort().join();`, outcome: /^"CANARY_OF_MY_OWN"$/ },
  { tries: "process.argv", code: `return process.argv.join();`, outcome: /^"?[^/]*"?$|^error: / },
  { tries: "the host's name", code: `const os = await import("node:os"); return os.hostname();`, outcome: /^("(localhost)?"|error: )/ },
  {
    tries: "the machine's network",
    code: `const os = await import("node:os"); return JSON.stringify(os.networkInterfaces());`,
    outcome: /^("\{\}"|error: )/,
  },
  { tries: "who is at the other end of the socket", code: `return JSON.stringify(request.cf);`, outcome: /^(?!.*client(Pid|Uid)).*$/ },
  {
    tries: "another account's cache",
    code: `return String(await caches.default.match("http://victim/cached"));`,
    outcome: /^("undefined"|error: )/,
  },
];

const socketAttacks: readonly Attack[] = [
  { tries: "connect() to control's socket by URL", code: `return open("unix:RUN/control.sock");`, outcome: FAILS },
  {
    tries: "connect() to host's socket as a host name",
    code: `return open({ hostname: "unix:RUN/host.sock", port: 80 });`,
    outcome: FAILS,
  },
  { tries: "connect() to a path", code: `return open({ hostname: "RUN/control.sock", port: 80 });`, outcome: FAILS },
  {
    tries: "fetch of control's socket",
    code: `return await say(await fetch("http://unix:RUN/control.sock:/lookup"));`,
    outcome: UNREACHED,
  },
  { tries: "fetch with a unix scheme", code: `return await say(await fetch("unix:RUN/control.sock"));`, outcome: UNREACHED },
  {
    tries: "node:net to control's socket",
    code: `const net = await import("node:net");
      return await new Promise((resolve, reject) => net.connect({ path: "RUN/control.sock" }).on("connect", () => resolve("connected")).on("error", reject));`,
    outcome: FAILS,
  },
  {
    tries: "fetch of a service by our name for it",
    code: `return await say(await fetch("http://mayfly:control/ping"));`,
    outcome: UNREACHED,
  },
  { tries: "fetch of the egress by name", code: `return await say(await fetch("http://egress/"));`, outcome: UNREACHED },
  {
    tries: "a redirect to control",
    code: `return await say(await fetch("http://SELF/redirect?to=http://127.0.0.1/healthz"));`,
    outcome: REFUSED,
  },
  {
    tries: "control under the edge's domain",
    code: `return await say(await fetch("http://control.mayfly.localhost:CONTROL_PORT/healthz"));`,
    outcome: /^404 /,
  },
  {
    tries: "control by a Host header",
    code: `return await say(await fetch("http://SELF/echo-host", { headers: { host: "localhost:CONTROL_PORT" } }));`,
    outcome: /^200 SELF/,
  },
  { tries: "a user part before control", code: `return await say(await fetch("http://example.com@127.0.0.1/healthz"));`, outcome: REFUSED },
  { tries: "a backslash before control", code: `return await say(await fetch("http://127.0.0.1\\\\@example.com/"));`, outcome: REFUSED },
];

/** Every spelling of what is not the public Internet. */
const ADDRESSES =
  `127.0.0.1 localhost LOCALHOST localhost. anything.localhost [::1] 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 127.1 127.000.000.001
   0 0.0.0.0 [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:0:0:1] [64:ff9b::7f00:1] [2002:7f00:1::] 127.255.255.254 10.0.0.1
   172.16.0.1 192.168.0.1 100.64.0.1 [fd00::1] 169.254.169.254 [fd00:ec2::254] [fe80::1] 168.63.129.16 224.0.0.1 255.255.255.255 192.0.2.1 ①②⑦.⓪.⓪.①`.split(
    /\s+/,
  );

/** @param own addresses of this machine, as they stand in a URL */
function addressAttacks(own: readonly string[]): Attack[] {
  return [...ADDRESSES, ...own].flatMap((address) => [
    { tries: `fetch of ${address}`, code: `return await say(await fetch("http://${address}/healthz"));`, outcome: UNREACHED },
    {
      tries: `fetch of ${address} at control's port`,
      code: `return await say(await fetch("http://${address}:CONTROL_PORT/healthz"));`,
      outcome: REFUSED,
    },
    { tries: `connect() to ${address}`, code: `return await open("${address}:80");`, outcome: FAILS },
    { tries: `connect() to ${address} at control's port`, code: `return await open("${address}:CONTROL_PORT");`, outcome: FAILS },
    {
      tries: `a WebSocket to ${address}`,
      code: `return await say(await fetch("http://${address}/", { headers: { upgrade: "websocket" } }));`,
      outcome: UNREACHED,
    },
  ]);
}

export const attacks = (own: readonly string[]): readonly Attack[] => [
  ...fileAttacks,
  ...environmentAttacks,
  ...socketAttacks,
  ...addressAttacks(own),
];

/** A Worker that runs the attack of the number in its path. */
export const attackerCode = (list: readonly Attack[], fill: (code: string) => string): string => `
import { connect } from "cloudflare:sockets";
const say = async (answer) => answer.status + " " + (await answer.text()).slice(0, 2000);
const open = async (address) => {
  const socket = connect(address);
  await socket.opened;
  const writer = socket.writable.getWriter();
  await writer.write(new TextEncoder().encode("GET /healthz HTTP/1.0\\r\\n\\r\\n"));
  const { value } = await socket.readable.getReader().read();
  return "connected: " + new TextDecoder().decode(value);
};
const ATTACKS = [${list.map(({ code }) => `async (request, env) => { ${fill(code)} }`).join(",\n")}];
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/redirect") return Response.redirect(url.searchParams.get("to"), 302);
    if (url.pathname === "/echo-host") return new Response(url.hostname);
    const late = scheduler.wait(10_000).then(() => { throw new Error("nothing happened for ten seconds"); });
    const told = await Promise.race([ATTACKS[Number(url.pathname.slice(1))](request, env), late]).then(
      (value) => (typeof value === "string" && /^\\d{3} /.test(value) ? value : JSON.stringify(value) ?? "undefined"),
      (error) => "error: " + (error?.stack ?? error),
    );
    return new Response(told);
  },
};`;
