// Every malformed upload gets a 4xx that names the field and the next step, and leaves no row.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import type { ErrorCode } from "../../../../src/kernel/errors.ts";
import { openBench } from "../../../fixtures/databases.ts";
import { ESM, HELLO, openShop, upload, type Client, type Module, type Sent } from "../../../fixtures/products.ts";

type Case = readonly [what: string, sent: () => Sent, code: ErrorCode, message: RegExp, script?: string];

const form = (parts: Record<string, string | readonly [string, string]>): FormData => {
  const made = new FormData();
  for (const [name, part] of Object.entries(parts)) {
    if (typeof part === "string") made.append(name, part);
    else made.append(name, new File([part[1]], name, { type: part[0] }));
  }
  return made;
};
const raw = (body: string, type = "multipart/form-data; boundary=XX"): Sent => ({ body, headers: { "content-type": type } });
const up = (metadata: Record<string, unknown>, modules?: readonly Module[]) => (): Sent => ({ body: upload(metadata, modules) });
const binding = (...bindings: unknown[]) => up({ bindings });
const named = (name: string) => up({}, [HELLO, [name, "text/plain", "x"]]);
const meta = (text: string) => (): Sent => ({ body: form({ metadata: text, "index.js": [ESM, "export default {}"] }) });

const CASES: readonly Case[] = [
  ["no body", () => ({}), "invalid_upload", /Content-Type: must be multipart/],
  ["JSON instead of a form", () => raw("{}", "application/json"), "invalid_upload", /Content-Type: must be multipart/],
  ["no boundary", () => raw("x", "multipart/form-data"), "invalid_upload", /Content-Type: must be multipart\/form-data with a boundary/],
  ["an empty boundary", () => raw("x", "multipart/form-data; boundary="), "invalid_upload", /Content-Type|body/],
  ["an empty form body", () => raw(""), "invalid_upload", /body: empty/],
  ["garbage", () => raw("garbage"), "invalid_upload", /body: the multipart form breaks off/],
  [
    "a form that breaks off",
    () => raw('--XX\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"a":'),
    "invalid_upload",
    /breaks off/,
  ],
  ["a form without parts", () => raw("--XX--\r\n"), "invalid_upload", /metadata: the form has no such part/],
  ["no metadata", () => ({ body: form({ "index.js": [ESM, "x"] }) }), "invalid_upload", /metadata: the form has no such part/],
  [
    "metadata twice",
    () => raw(`${'--XX\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{}\r\n'.repeat(2)}--XX--\r\n`),
    "invalid_upload",
    /two such parts/,
  ],
  ["metadata that is not JSON", meta("{nope"), "invalid_upload", /metadata: is not JSON/],
  [
    "metadata that is not UTF-8",
    () => ({ body: form({ metadata: ["application/json", "x"] }), headers: {} }),
    "invalid_upload",
    /metadata: is not JSON/,
  ],
  [
    "metadata nested beyond what can be walked",
    meta(`{"observability":{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`),
    "invalid_upload",
    /metadata: is nested deeper than 100 levels/,
  ],
  ["metadata that is a list", meta("[]"), "invalid_upload", /metadata: /],
  ["metadata that is null", meta("null"), "invalid_upload", /metadata: /],
  [
    "more annotations than are kept",
    up({ annotations: Object.fromEntries(Array.from({ length: 21 }, (_, at) => [`a${at}`, "x"])) }),
    "invalid_upload",
    /metadata\.annotations: more than 20/,
  ],
  [
    "settings larger than are kept",
    up({ observability: { a: "x".repeat(6000) } }),
    "invalid_upload",
    /metadata\.observability: longer than/,
  ],
  ["limits larger than are kept", up({ limits: { a: "x".repeat(6000) } }), "invalid_upload", /metadata\.limits: longer than/],
  [
    "tail consumers larger than are kept",
    up({ tail_consumers: [{ service: "x".repeat(6000) }] }),
    "invalid_upload",
    /tail_consumers: longer/,
  ],
  [
    "one part bound twice",
    up({ bindings: ["A", "B"].map((name) => ({ type: "data_blob", name, part: "x.txt" })) }, [HELLO, ["x.txt", "text/plain", "x"]]),
    "invalid_upload",
    /"B" names the part "x\.txt", which another binding has/,
  ],
  [
    "text blobs beyond their bound together",
    up({ bindings: [0, 1, 2].map((at) => ({ type: "text_blob", name: `T${at}`, part: `${at}.txt` })) }, [
      HELLO,
      ...[0, 1, 2].map((at) => [`${at}.txt`, "text/plain", "x".repeat(1_000_000)] as const),
    ]),
    "invalid_upload",
    /take 3000000 bytes/,
  ],
  ["metadata that is too large", meta(`"${"x".repeat(4_194_304)}"`), "upload_too_large", /larger than/],
  ["main_module of the wrong type", up({ main_module: 7 }), "invalid_upload", /metadata\.main_module: /],
  ["main_module that is no part", up({ main_module: "nope.js" }), "invalid_upload", /metadata\.main_module: names "nope\.js"/],
  ["main_module and body_part", up({ body_part: "index.js" }), "invalid_upload", /both main_module and body_part/],
  ["neither main_module nor body_part", up({ main_module: undefined }), "invalid_upload", /neither main_module nor body_part/],
  ["nothing at all", meta("{}"), "invalid_upload", /neither main_module nor body_part/],
  ["a main module that is text", up({}, [["index.js", "text/plain", "x"]]), "invalid_upload", /is not JavaScript/],
  ["an ES module as body_part", up({ main_module: undefined, body_part: "index.js" }), "invalid_upload", /is not a classic script/],
  ["an unknown content type", up({}, [HELLO, ["x.png", "image/png", "x"]]), "invalid_upload", /"x\.png" has the content type "image\/png"/],
  ["a Python module", up({}, [HELLO, ["x.py", "text/x-python", "x"]]), "invalid_upload", /"x\.py" is Python/],
  ["a Python requirement", up({}, [HELLO, ["x", "text/x-python-requirement", "x"]]), "invalid_upload", /is Python/],
  ["two modules of one name", up({}, [HELLO, HELLO]), "invalid_upload", /two are named "index\.js"/],
  ["two modules of one name but for ./", named("./index.js"), "invalid_upload", /two are named/],
  ["a module name with ..", named("../up.txt"), "invalid_upload", /holds a "\.\." segment/],
  ["an absolute module name", named("/etc/passwd"), "invalid_upload", /begins with a slash/],
  ["a module name with a backslash", named("a\\b"), "invalid_upload", /holds a backslash/],
  ["a module name with a NUL", named("a\0b"), "invalid_upload", /holds control characters/],
  ["a module name that is too long", named("x".repeat(600)), "invalid_upload", /longer than 512 bytes/],
  [
    "an empty module name",
    () =>
      raw(
        `--XX\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"main_module":"a"}\r\n--XX\r\nContent-Disposition: form-data; name=""\r\n\r\nx\r\n--XX--\r\n`,
      ),
    "invalid_upload",
    /is empty/,
  ],
  [
    "too many modules",
    up(
      {},
      Array.from({ length: 1001 }, (_, at): Module => [`m${at}.txt`, "text/plain", "x"]),
    ),
    "invalid_upload",
    /more than 1001 parts/,
  ],
  ["a body that is too large", up({}, [["index.js", ESM, "x".repeat(4_300_000)]]), "upload_too_large", /body: larger than/],
  [
    "modules that are too large compressed",
    up({}, [HELLO, ["r.bin", "application/octet-stream", randomBytes(1_200_000)]]),
    "upload_too_large",
    /when compressed/,
  ],
  ["a compatibility date that is none", up({ compatibility_date: "yesterday" }), "invalid_upload", /compatibility_date is "yesterday"/],
  ["a compatibility date in the future", up({ compatibility_date: "2999-01-01" }), "invalid_upload", /compatibility_date/],
  ["a compatibility date of the wrong type", up({ compatibility_date: 5 }), "invalid_upload", /metadata\.compatibility_date/],
  ["an unknown compatibility flag", up({ compatibility_flags: ["nope"] }), "invalid_upload", /compatibility_flags holds "nope"/],
  ["an experimental compatibility flag", up({ compatibility_flags: ["experimental"] }), "invalid_upload", /experimental/],
  ["compatibility flags that are no list", up({ compatibility_flags: "nodejs_compat" }), "invalid_upload", /metadata\.compatibility_flags/],
  ["bindings that are no list", up({ bindings: {} }), "invalid_upload", /metadata\.bindings/],
  ["a binding without a name", binding({ type: "plain_text", text: "x" }), "invalid_upload", /metadata\.bindings\.0\.name/],
  ["a binding with an empty name", binding({ type: "plain_text", name: "", text: "x" }), "invalid_upload", /bindings\.0.*name: empty/],
  ["a binding without a type", binding({ name: "A" }), "invalid_upload", /metadata\.bindings\.0\.type/],
  ["a binding without its value", binding({ type: "plain_text", name: "A" }), "invalid_upload", /bindings\.0 \("A"\)\.text/],
  ["a JSON binding without its value", binding({ type: "json", name: "A" }), "invalid_upload", /bindings\.0 \("A"\)\.json/],
  [
    "a variable that is too large",
    binding({ type: "plain_text", name: "A", text: "x".repeat(5121) }),
    "invalid_upload",
    /longer than 5120 bytes/,
  ],
  [
    "two bindings of one name",
    binding({ type: "plain_text", name: "A", text: "x" }, { type: "json", name: "A", json: 1 }),
    "invalid_upload",
    /two named "A"/,
  ],
  [
    "too many bindings",
    binding(...Array.from({ length: 129 }, (_, at) => ({ type: "plain_text", name: `V${at}`, text: "x" }))),
    "invalid_upload",
    /more than 128/,
  ],
  ["a part binding without its part", binding({ type: "wasm_module", name: "W", part: "nope" }), "invalid_upload", /names the part "nope"/],
  [
    "an assets binding without assets",
    binding({ type: "assets", name: "A" }),
    "invalid_upload",
    /binds static assets, but the upload has none/,
  ],
  ["props that are no object", binding({ type: "service", name: "B", service: "x", props: 1 }), "invalid_upload", /props/],
  ...[
    "ai",
    "vectorize",
    "browser",
    "send_email",
    "mtls_certificate",
    "dispatch_namespace",
    "worker_loader",
    "images",
    "stream",
    "media",
    "containers",
    "workflow",
    "hyperdrive",
    "queue",
    "r2_bucket",
    "pipelines",
    "vpc_service",
    "vpc_network",
    "ai_search",
    "ai_search_namespace",
    "websearch",
    "agent_memory",
    "artifacts",
    "flagship",
    "k2",
    "logfwdr",
    "unsafe_hello_world",
    "made_up",
  ].map((type): Case => [
    `a binding of type ${type}`,
    binding({ type, name: "X" }),
    "invalid_upload",
    new RegExp(`"X" is of type "${type}", which .* does not have yet`),
  ]),
  ["exports", up({ exports: { A: {} } }), "invalid_upload", /metadata\.exports/],
  ["containers", up({ containers: [{ class_name: "A" }] }), "invalid_upload", /metadata\.containers: Containers/],
  ["annotations that are no text", up({ annotations: { "workers/message": 1 } }), "invalid_upload", /metadata\.annotations/],
  ["tags that are no list", up({ tags: "a" }), "invalid_upload", /metadata\.tags/],
  ["assets without a token", up({ assets: { config: {} } }), "invalid_upload", /metadata\.assets\.jwt: missing/],
  ["assets with a forged token", up({ assets: { jwt: "a.b.c" } }), "asset_session_invalid", /metadata\.assets\.jwt/],
  ["an unknown html_handling", up({ assets: { jwt: "x", config: { html_handling: "nope" } } }), "invalid_upload", /html_handling/],
  [
    "an unknown not_found_handling",
    up({ assets: { jwt: "x", config: { not_found_handling: "nope" } } }),
    "invalid_upload",
    /not_found_handling/,
  ],
  [
    "a run_worker_first rule without a slash",
    up({ assets: { jwt: "x", config: { run_worker_first: ["api"] } } }),
    "invalid_upload",
    /run_worker_first/,
  ],
  ["keep_assets for a new Worker", up({ keep_assets: true }), "invalid_upload", /keep_assets/],
  ["an upper-case name", up({}), "invalid_upload", /upper-case letters; "myapp" has none/, "MyApp"],
  ["a name with underscores", up({}), "invalid_upload", /underscores/, "my_app"],
  ["a name with a double hyphen", up({}), "invalid_upload", /holds "--"/, "my--app"],
  ["a name that begins with a hyphen", up({}), "invalid_upload", /begins or ends with a hyphen/, "-app"],
  ["a name that ends with a hyphen", up({}), "invalid_upload", /begins or ends with a hyphen/, "app-"],
  ["a punycode name", up({}), "invalid_upload", /begins with "xn-"/, "xn-app"],
  ["a name that leaves no room in the label", up({}), "invalid_upload", /characters long; at most \d+/, "a".repeat(60)],
  ["a name with a dot", up({}), "invalid_upload", /lower-case letters, digits and hyphens/, "a.b"],
  ["a name with an encoded slash", up({}), "invalid_upload", /lower-case letters, digits and hyphens/, "a%2Fb"],
  ["a name that is no percent-encoding", up({}), "invalid_input", /percent-encoding/, "a%zz"],
];

const BODIES: readonly (readonly [method: string, path: string, json: unknown, code: ErrorCode, message: RegExp])[] = [
  ["POST", "scripts/app/deployments", {}, "invalid_input", /versions/],
  ["POST", "scripts/app/deployments", { strategy: "gradual", versions: [] }, "invalid_input", /strategy: must be "percentage"/],
  ["POST", "scripts/app/deployments", { versions: [] }, "invalid_input", /versions: empty/],
  [
    "POST",
    "scripts/app/deployments",
    { versions: [{ version_id: "x", percentage: 10 }] },
    "invalid_input",
    /versions: .* sum to 10, not to 100/,
  ],
  ["PUT", "scripts/app/secrets", {}, "invalid_input", /name/],
  ["PUT", "scripts/app/secrets", { name: "A" }, "invalid_input", /text/],
  ["PUT", "scripts/app/secrets", { name: "A", text: "x", type: "secret_key" }, "invalid_input", /type: must be "secret_text"/],
  ["PUT", "scripts/app/secrets", { name: "A", text: "x".repeat(5121) }, "invalid_input", /text: longer than/],
  ["PATCH", "scripts/app/secrets-bulk", {}, "invalid_input", /secrets/],
  ["PATCH", "scripts/app/secrets-bulk", { secrets: { A: 1 } }, "invalid_input", /secrets\.A/],
  ["PATCH", "workers/app/versions/latest", {}, "invalid_input", /env/],
  ["POST", "scripts/app/subdomain", {}, "invalid_input", /enabled/],
  ["POST", "scripts/app/subdomain", { enabled: "yes" }, "invalid_input", /enabled/],
  ["PUT", "scripts/app/schedules", {}, "invalid_input", /body/],
  ["PATCH", "scripts/app/script-settings", { tags: 1 }, "invalid_input", /tags/],
  [
    "PATCH",
    "scripts/app/settings",
    { bindings: [{ type: "d1", name: "D" }] },
    "invalid_upload",
    /binding of type d1 must have a valid `id`/,
  ],
  ["PATCH", "scripts/app/settings", { bindings: 1 }, "invalid_upload", /settings\.bindings/],
  ["PUT", "subdomain", {}, "invalid_input", /subdomain/],
];

async function rows(client: Client, bench: Awaited<ReturnType<typeof openBench>>): Promise<number> {
  let count = 0;
  for (const table of ["workers", "worker_versions", "worker_deployments", "asset_sessions", "asset_files"] as const) {
    count += (await bench.store.db.selectFrom(table).selectAll().where("account_id", "=", client.id).execute()).length;
  }
  return count;
}

describe("A malformed upload", () => {
  for (const [what, sent, code, message, script] of CASES) {
    test(`is refused: ${what}`, async () => {
      await using bench = await openBench(null);
      const client = await openShop(bench).client();
      for (const [method, path] of [
        ["PUT", ""],
        ["POST", "/versions"],
      ] as const) {
        const answer = await client.call(method, `/workers/scripts/${script ?? "app"}${path}`, sent());
        assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.message}`);
        if (method === "POST" && answer.code === "worker_not_found") continue;
        assert.equal(answer.code, code, answer.message);
        assert.match(answer.message, message);
        assert.match(answer.message, /\.$/);
      }
      assert.equal(await rows(client, bench), 0);
    });
  }
});

test("a malformed body is refused with its field, and changes nothing", async () => {
  await using bench = await openBench(null);
  const client = await openShop(bench).client();
  await client.call("PUT", "/workers/scripts/app", { body: upload() });
  const before = await rows(client, bench);
  for (const [method, path, json, code, message] of BODIES) {
    const answer = await client.call(method, `/workers/${path}`, { json });
    assert.ok(answer.status >= 400 && answer.status < 500, `${method} ${path}: ${answer.status}`);
    assert.equal(answer.code, code, `${method} ${path} ${JSON.stringify(json)}: ${answer.message}`);
    assert.match(answer.message, message);
  }
  for (const path of ["scripts/app/secrets", "scripts/app/schedules", "subdomain"]) {
    const answer = await client.call("PUT", `/workers/${path}`, { body: "{nope" });
    assert.deepEqual([answer.status, answer.code], [400, "invalid_input"]);
  }
  const deep = `{"observability":{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`;
  for (const path of ["settings", "script-settings"]) {
    const answer = await client.call("PATCH", `/workers/scripts/app/${path}`, { body: deep });
    assert.equal(answer.status, 400, answer.message);
    assert.match(answer.message, /nested deeper than 100 levels/);
  }
  assert.equal(await rows(client, bench), before);
});
