// What a client of the edge may try to reach another's Worker, version or file, to speak as the platform, or to put words into
// another's connection.
import type { EdgeAttack } from "./attack.ts";

const CLOSED = /^(404|400|421|403|410|501) /;
const get = (host: string, path = "/", more = ""): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}Connection: close\r\n\r\n`;
const VAULT = "{{V_HOST}}";

const names: readonly EdgeAttack[] = [
  ["its own Worker's name under another account", "own--{{V_SUB}}.mayfly.localhost"],
  ["another's Worker's name under its own account", "vault--{{ME_SUB}}.mayfly.localhost"],
  ["a Worker of another's that was never opened", "inner--{{V_SUB}}.mayfly.localhost"],
  ["a preview by its own version's digits", "{{ME_VERSION8}}--vault--{{V_SUB}}.mayfly.localhost"],
  ["another's version under its own Worker", "{{V_VERSION8}}--own--{{ME_SUB}}.mayfly.localhost"],
  ["a preview by guessed digits", "00000000--vault--{{V_SUB}}.mayfly.localhost"],
  ["a preview by a guessed alias", "staging--vault--{{V_SUB}}.mayfly.localhost"],
  ["a preview by a pattern", "%--vault--{{V_SUB}}.mayfly.localhost"],
  ["a label with a NUL's escape", "vault--{{V_SUB}}%00.mayfly.localhost"],
  ["the subdomain alone", "{{V_SUB}}.mayfly.localhost"],
  ["the account's id", "vault--{{V_ID}}.mayfly.localhost"],
  ["the edge's domain itself", "mayfly.localhost"],
  ["two labels", "a.vault--{{V_SUB}}.mayfly.localhost"],
  ["the label and more behind it", "vault--{{V_SUB}}.mayfly.localhost.evil.example"],
  ["another domain", "vault--{{V_SUB}}.evil.example"],
  ["control's name", "localhost:{{CONTROL_PORT}}"],
  ["an address", "127.0.0.1"],
  ["a service's name", "control.mayfly.localhost"],
  ["a prototype's name", "__proto__--{{V_SUB}}.mayfly.localhost"],
  ["an empty Worker's name", "--{{V_SUB}}.mayfly.localhost"],
  ["a label of 300 letters", `${"a".repeat(300)}.mayfly.localhost`],
  ["a label in punycode", "xn--vault-x--{{V_SUB}}.mayfly.localhost"],
].map(([tries = "", host = ""]) => ({ tries, host, must: CLOSED, never: /vault:|hidden/ }));

/** The victim's Worker answers whom it likes: with its own word and what the platform says of the caller, nothing else. */
const forged: readonly EdgeAttack[] = [
  { "CF-Connecting-IP": "203.0.113.9" },
  { "X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "True-Client-IP": "203.0.113.9", Forwarded: "for=203.0.113.9" },
  { "CF-Worker": "203.0.113.9", "CF-EW-Via": "203.0.113.9", "CDN-Loop": "cloudflare" },
  { "Mayfly-Cf-Blob": '{"colo":"203.0.113.9"}' },
  { "Mayfly-Control": "203.0.113.9", "Mayfly-Account": "203.0.113.9" },
  { Connection: "cf-connecting-ip, x-forwarded-proto, keep-alive" },
  { "Cloudflare-Workers-Version-Overrides": 'vault="{{V_OLD_VERSION}}"' },
  { "Cloudflare-Workers-Version-Key": "key" },
  { "X-Forwarded-Host": "own--{{ME_SUB}}.mayfly.localhost", "X-Original-URL": "/hidden", "X-Rewrite-URL": "/hidden" },
  { "X-HTTP-Method-Override": "DELETE" },
  { Upgrade: "h2c", Connection: "upgrade, http2-settings", "HTTP2-Settings": "AAMAAABkAAQAAP__" },
  { "If-None-Match": `"${"a".repeat(4000)}"`, Range: `bytes=${Array.from({ length: 500 }, (_, n) => `${n}-${n}`).join(",")}` },
  { Cookie: "a=b; ".repeat(1500) },
  { Expect: "100-continue" },
].map((headers) => ({
  tries: `the headers ${Object.keys(headers).join(", ")} at another's Worker`,
  host: VAULT,
  path: "/echo",
  headers: headers as unknown as Readonly<Record<string, string>>,
  must: /^(200 .*vault: |4\d\d )/s,
  never: /203\.0\.113|old vault/,
}));

const paths: readonly EdgeAttack[] = [
  "/../../state/kv",
  "/%2e%2e/%2e%2e/code",
  "/..%5c..%5cstate",
  "//etc/passwd",
  "/page.txt%00.html",
  "/_headers",
  "/_worker.js",
  "/.assetsignore",
  "/h/{{V_HASH}}",
  "/v/x",
  "/cdn-cgi/trace",
  "/cdn-cgi/mayfly/control",
  "/.well-known/mayfly",
  "/ping",
  "/healthz",
  "/metrics",
  "/client/v4/accounts/{{V_ID}}",
].map((path) => ({
  tries: `the path ${path} of another's site`,
  host: VAULT,
  raw: get(VAULT, path),
  must: /^HTTP\/1\.1 (200|30\d|4\d\d) /,
  never: /root:x|"account"|process_cpu/,
}));

const wires: readonly EdgeAttack[] = [
  {
    tries: "a request behind a WebSocket's end",
    raw: `GET /socket HTTP/1.1\r\nHost: {{SELF}}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\u0088\u0080\u0000\u0000\u0000\u0000${get(VAULT)}`,
  },
  {
    tries: "a request behind an upgrade that was refused",
    raw: `GET /no-socket HTTP/1.1\r\nHost: {{SELF}}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n${get(VAULT)}`,
  },
  {
    tries: "a request in a body of a GET",
    raw: `GET / HTTP/1.1\r\nHost: {{SELF}}\r\nContent-Length: 40\r\n\r\n${get(VAULT).slice(0, 40)}`,
  },
  { tries: "a target of another host", raw: `GET http://${VAULT}/ HTTP/1.1\r\nHost: {{SELF}}\r\nConnection: close\r\n\r\n` },
  { tries: "two hosts", raw: `GET / HTTP/1.1\r\nHost: {{SELF}}\r\nHost: ${VAULT}\r\nConnection: close\r\n\r\n` },
  {
    tries: "a request in a trailer",
    raw: `POST / HTTP/1.1\r\nHost: {{SELF}}\r\nTransfer-Encoding: chunked\r\nTrailer: host\r\nConnection: close\r\n\r\n0\r\nHost: ${VAULT}\r\n\r\n`,
  },
  { tries: "a tunnel", raw: `CONNECT ${VAULT}:80 HTTP/1.1\r\nHost: ${VAULT}:80\r\n\r\n${get(VAULT)}` },
  { tries: "a trace", raw: `TRACE / HTTP/1.1\r\nHost: {{SELF}}\r\nX-Secret: 1\r\nConnection: close\r\n\r\n` },
].map((attack) => ({ host: "{{SELF}}", ...attack, must: /^(HTTP\/1\.1 (101|200|4\d\d|501) |$)/, never: /vault: /, path: "" }));

/** What a Worker of the attacker's answers, as another's visitor would see it. */
const answers: readonly EdgeAttack[] = [
  { tries: "cookies above its host", path: "/answer/cookies", never: /domain=\.?mayfly\.localhost|domain=localhost/i },
  { tries: "headers that are the platform's", path: "/answer/platform", never: /cf-ray: forged|mayfly-anything|server: forged/i },
  { tries: "a strange length", path: "/answer/length" },
  { tries: "a status without a body that has one", path: "/answer/no-content" },
  { tries: "a thousand headers", path: "/answer/headers" },
  { tries: "a header of a megabyte", path: "/answer/large-header" },
  { tries: "a body that breaks off", path: "/answer/broken" },
  { tries: "an error of its own with markup", path: "/answer/throw", never: /<script>alert/ },
].map((attack) => ({ host: "{{SELF}}", ...attack, must: /^(200|204|5\d\d|cut)/ }));

export const edgeClients: readonly EdgeAttack[] = [...names, ...forged, ...paths, ...wires, ...answers];
