// What a caller may try with uploads: bindings to what is another's or ours, code that never starts, forms that are made to wear
// the server out, and names that look like others.
import type { ApiAttack } from "./attack.ts";

const ME = "/accounts/{{ME_ID}}";

const REFUSED = /^4\d\d /;
const HELLO = "export default { fetch() { return new Response('x') } };";

const binds = (binding: Record<string, unknown>): Pick<ApiAttack, "call" | "upload"> => ({
  call: `PUT ${ME}/workers/scripts/binder`,
  upload: { code: "export default { fetch() { return new Response('x') } };", metadata: { bindings: [{ name: "B", ...binding }] } },
});
const bindings: readonly ApiAttack[] = [
  { tries: "binding another's namespace", ...binds({ type: "kv_namespace", namespace_id: "{{V_KV}}" }), must: REFUSED },
  { tries: "binding another's database", ...binds({ type: "d1", id: "{{V_D1}}" }), must: REFUSED },
  { tries: "binding another's database by its other name", ...binds({ type: "d1", database_id: "{{V_D1}}" }), must: REFUSED },
  {
    tries: "binding another's secret",
    ...binds({ type: "secrets_store_secret", store_id: "{{V_STORE}}", secret_name: "API_KEY" }),
    must: REFUSED,
  },
  { tries: "binding another's Worker", ...binds({ type: "service", service: "vault" }), must: REFUSED },
  {
    tries: "binding another's entrypoint",
    ...binds({ type: "service", service: "vault", entrypoint: "Control", props: { account: "{{V_ID}}" } }),
    must: REFUSED,
  },
  {
    tries: "binding another's objects",
    ...binds({ type: "durable_object_namespace", class_name: "Vault", script_name: "vault" }),
    must: REFUSED,
  },
  {
    tries: "binding another's objects by their namespace",
    ...binds({ type: "durable_object_namespace", namespace_id: "{{V_OBJECTS}}" }),
    must: REFUSED,
  },
  { tries: "inheriting what it never had", ...binds({ type: "inherit", old_name: "SECRET" }), must: REFUSED },
  ...[
    "internal",
    "wrapped",
    "worker_loader",
    "unsafe_eval",
    "workerd_debug_port",
    "memory_cache",
    "dispatch_namespace",
    "browser",
    "disk",
    "external",
    "network",
    "__proto__",
  ].map((type) => ({
    tries: `a binding of the type ${type}`,
    ...binds({ type, service: "kv", id: "{{V_KV}}" }),
    must: REFUSED,
  })),
  ...["mayfly:kv", "kv", "d1", "cache", "egress", "control", "w-1", "unix:/s/control.sock", "{{V_SUB}}", "vault--{{V_SUB}}"].map(
    (service) => ({
      tries: `a service binding to ${service}`,
      ...binds({ type: "service", service }),
      must: REFUSED,
    }),
  ),
  {
    tries: "tails of its own over another's Worker",
    call: `PUT ${ME}/workers/scripts/binder`,
    upload: { code: "export default { tail() {} };", metadata: { tail_consumers: [{ service: "vault" }] } },
    must: /^(4\d\d|200) /,
  },
  {
    tries: "static files of another's upload session",
    call: `PUT ${ME}/workers/scripts/binder`,
    upload: { code: "export default { fetch() { return new Response('x') } };", metadata: { assets: { jwt: "{{V_JWT}}" } } },
    must: REFUSED,
  },
  {
    tries: "taking over another's objects by a transfer",
    call: `PUT ${ME}/workers/scripts/binder`,
    upload: {
      code: `import { DurableObject } from "cloudflare:workers"; export class Vault extends DurableObject {} export default {};`,
      metadata: { migrations: { new_tag: "v1", steps: [{ transferred_classes: [{ from: "Vault", from_script: "vault", to: "Vault" }] }] } },
    },
    must: REFUSED,
  },
];

const uploads = (tries: string, code: string, metadata: Record<string, unknown> = {}, must = REFUSED): ApiAttack => ({
  tries,
  call: `PUT ${ME}/workers/scripts/tried`,
  upload: { code, metadata },
  must,
});
const code: readonly ApiAttack[] = [
  { ...uploads("a loop before anything starts", "while (true);", {}, /^400 10021 .*Script startup exceeded/s), once: true },
  uploads("memory before anything starts", "const a = []; while (true) a.push(new Uint8Array(1 << 24).fill(1));", {}, /^400 10021 /),
  uploads("recursion before anything starts", `const f = () => f(); f(); ${HELLO}`),
  uploads("a fetch before anything starts", `await fetch("http://{{V_HOST}}/"); ${HELLO}`),
  uploads("a promise that never settles", `await new Promise(() => {}); ${HELLO}`),
  uploads("code from text", `eval("1"); ${HELLO}`, {}, /^(200|4\d\d) /),
  uploads("an import of the runtime's unsafe module", `import "workerd:unsafe"; ${HELLO}`),
  uploads("an import of a product of ours", `import "/workerd/kv.js"; ${HELLO}`),
  uploads("an import of a file", `import "file:///etc/passwd"; ${HELLO}`),
  uploads("no code", ""),
  uploads("a NUL in the code", "export default {}\0;"),
  uploads("a date of the far future", HELLO, { compatibility_date: "2999-01-01" }),
  uploads("an experimental flag", HELLO, { compatibility_flags: ["experimental"] }),
  uploads("an unsafe flag", HELLO, { compatibility_flags: ["unsafe_module"] }),
  uploads("the flag of our own services", HELLO, { compatibility_flags: ["service_binding_extra_handlers"] }),
  uploads("two flags that contradict each other", HELLO, { compatibility_flags: ["nodejs_compat", "no_nodejs_compat"] }),
  uploads("a main module that climbs", HELLO, { main_module: "../index.js" }),
  uploads("a binding named as a prototype", HELLO, { bindings: [{ type: "plain_text", name: "__proto__", text: "x" }] }, /^(4\d\d|200) /),
  uploads("two bindings of one name", HELLO, { bindings: [1, 2].map((n) => ({ type: "plain_text", name: "A", text: String(n) })) }),
  uploads("a thousand bindings", HELLO, {
    bindings: Array.from({ length: 1000 }, (_, n) => ({ type: "plain_text", name: `A${n}`, text: "x" })),
  }),
  uploads("a variable of a megabyte", HELLO, { bindings: [{ type: "plain_text", name: "A", text: "x".repeat(1 << 20) }] }),
  uploads("limits of its own", HELLO, { limits: { cpu_ms: 1e12 } }, /^(4\d\d|200) /),
  uploads(
    "a class named like ours",
    `import { DurableObject } from "cloudflare:workers"; export class KVNamespace extends DurableObject {} export class Control extends DurableObject {} ${HELLO}`,
    {
      migrations: { new_tag: "v1", new_sqlite_classes: ["KVNamespace"] },
      bindings: [{ type: "durable_object_namespace", name: "N", class_name: "KVNamespace" }],
    },
    /^200 /,
  ),
  uploads("a class that is a prototype", HELLO, { migrations: { new_tag: "v1", new_sqlite_classes: ["__proto__"] } }),
  uploads(
    "a handler of ours",
    `export default { fetch() { return new Response('x') }, ping() {}, control() {}, validate() {} };`,
    {},
    /^(4\d\d|200) /,
  ),
  {
    tries: "a thousand and one modules",
    call: `PUT ${ME}/workers/scripts/tried`,
    upload: {
      code: HELLO,
      modules: Array.from({ length: 1001 }, (_, n) => [`m${n}.js`, "application/javascript+module", "export {}"] as const),
    },
    must: REFUSED,
  },
  {
    tries: "a WebAssembly memory of 64 GiB",
    call: `PUT ${ME}/workers/scripts/tried`,
    upload: {
      code: `import wasm from "./m.wasm"; new WebAssembly.Instance(wasm); ${HELLO}`,
      modules: [["m.wasm", "application/wasm", Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 5, 6, 1, 4, 128, 128, 192, 0)]],
    },
    must: REFUSED,
  },
  {
    tries: "WebAssembly that is none",
    call: `PUT ${ME}/workers/scripts/tried`,
    upload: { code: `import wasm from "./m.wasm"; ${HELLO}`, modules: [["m.wasm", "application/wasm", "not wasm"]] },
    must: REFUSED,
  },
  {
    tries: "a module whose name is a host's path",
    call: `PUT ${ME}/workers/scripts/tried`,
    upload: { code: HELLO, modules: [["/etc/passwd", "text/plain", "x"]] },
    must: REFUSED,
  },
  {
    tries: "a source map that maps a million places",
    call: `PUT ${ME}/workers/scripts/mapped`,
    upload: {
      code: `throw new Error("x");\n//# sourceMappingURL=index.js.map`,
      modules: [
        [
          "index.js.map",
          "application/source-map",
          JSON.stringify({ version: 3, sources: ["a.ts"], names: [], mappings: "AAAA,".repeat(500_000) }),
        ],
      ],
    },
    must: REFUSED,
  },
  {
    tries: "a source map that names files of the machine",
    call: `PUT ${ME}/workers/scripts/mapped`,
    upload: {
      code: `throw new Error("x");\n//# sourceMappingURL=index.js.map`,
      modules: [
        [
          "index.js.map",
          "application/source-map",
          JSON.stringify({
            version: 3,
            sources: ["/etc/passwd", "file:///etc/shadow"],
            sourcesContent: [null, null],
            names: [],
            mappings: "AAAA",
          }),
        ],
      ],
    },
    must: REFUSED,
  },
];

const confusable = [
  "vaul\u0442",
  "ｖault",
  "vault\u200b",
  "VAULT",
  "vault.",
  "vault%00",
  "xn--vault-x",
  "va--ult",
  "vault\u202e",
  "__proto__",
  "..%2fvault",
  "%2e%2e",
];
const names: readonly ApiAttack[] = [
  ...confusable.map((name) => ({
    tries: `a Worker named ${JSON.stringify(name)}`,
    call: `PUT ${ME}/workers/scripts/${/%|^xn|--/.test(name) ? name : encodeURIComponent(name)}`,
    upload: { code: HELLO },
    must: REFUSED,
  })),
  {
    tries: "rules of headers that take for ever",
    call: `PUT ${ME}/workers/scripts/ruled`,
    upload: { code: HELLO, metadata: { assets: { jwt: "{{ME_ASSETS}}", config: { _headers: `/${"*".repeat(200)}\n  X-A: b` } } } },
    must: /^(4\d\d|200) /,
  },
  {
    tries: "redirects to another's site",
    call: `PUT ${ME}/workers/scripts/ruled`,
    upload: {
      code: HELLO,
      metadata: {
        assets: { jwt: "{{ME_ASSETS}}", config: { _redirects: Array.from({ length: 5000 }, (_, n) => `/${n}/* /:splat 301`).join("\n") } },
      },
    },
    must: /^(4\d\d|200) /,
  },
];

export const uploaders: readonly ApiAttack[] = [...bindings, ...code, ...names];
