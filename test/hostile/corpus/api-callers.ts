// What a caller of the API may try with a good token of its own against another account, with tokens that are none, and with
// bodies that are made to wear the server out. 404 and 7003 are what an account of others and none at all have in common.
import type { ApiAttack } from "./attack.ts";

const ABSENT = /^404 /;
const REFUSED = /^4\d\d /;
const json = (value: unknown): string => JSON.stringify(value);
const V = "/accounts/{{V_ID}}";
const ME = "/accounts/{{ME_ID}}";

/** Everything of the victim by its own address. */
const theirs: readonly ApiAttack[] = [
  `GET ${V}`,
  `DELETE ${V}`,
  `GET ${V}/limits`,
  `GET ${V}/logs`,
  `GET ${V}/metrics`,
  `GET ${V}/trail`,
  `GET ${V}/tokens/verify`,
  `GET ${V}/workers/scripts`,
  `GET ${V}/workers/scripts/vault`,
  `GET ${V}/workers/scripts/vault/settings`,
  `GET ${V}/workers/scripts/vault/secrets`,
  `GET ${V}/workers/scripts/vault/versions`,
  `GET ${V}/workers/scripts/vault/versions/{{V_VERSION}}`,
  `GET ${V}/workers/scripts/vault/references`,
  `DELETE ${V}/workers/scripts/vault`,
  `DELETE ${V}/workers/services/vault`,
  `GET ${V}/workers/durable_objects/namespaces`,
  `GET ${V}/workers/durable_objects/namespaces/{{V_OBJECTS}}/objects`,
  `GET ${V}/storage/kv/namespaces`,
  `GET ${V}/storage/kv/namespaces/{{V_KV}}/values/secret`,
  `DELETE ${V}/storage/kv/namespaces/{{V_KV}}`,
  `GET ${V}/d1/database`,
  `GET ${V}/d1/database/{{V_D1}}`,
  `DELETE ${V}/d1/database/{{V_D1}}`,
  `GET ${V}/d1/database/{{V_D1}}/time_travel/bookmark`,
  `GET ${V}/secrets_store/stores`,
  `GET ${V}/secrets_store/stores/{{V_STORE}}/secrets`,
  `GET ${V}/analytics_engine/sql?query=SELECT%20*%20FROM%20private`,
  `GET /accounts/{{O_ID}}`,
  `DELETE /accounts/{{O_ID}}`,
  `GET /accounts/{{O_ID}}/trail`,
].map((call) => ({ tries: call, call, must: ABSENT }));

const writes: readonly ApiAttack[] = [
  { call: `PUT ${V}/storage/kv/namespaces/{{V_KV}}/values/secret`, body: "overwritten" },
  { call: `PUT ${V}/storage/kv/namespaces/{{V_KV}}/bulk`, body: json([{ key: "secret", value: "x" }]) },
  { call: `POST ${V}/d1/database/{{V_D1}}/query`, body: json({ sql: "DELETE FROM vault" }) },
  { call: `POST ${V}/d1/database/{{V_D1}}/export`, body: json({ output_format: "polling" }) },
  { call: `POST ${V}/d1/database/{{V_D1}}/import`, body: json({ action: "init", etag: "0".repeat(32) }) },
  { call: `POST ${V}/d1/database/{{V_D1}}/time_travel/restore?timestamp=0` },
  { call: `PUT ${V}/workers/scripts/vault/secrets`, body: json({ name: "SECRET", text: "x", type: "secret_text" }) },
  { call: `POST ${V}/workers/scripts/vault/tails`, body: "{}" },
  { call: `POST ${V}/workers/scripts/vault/subdomain`, body: json({ enabled: false }) },
  { call: `PUT ${V}/workers/scripts/vault/schedules`, body: json([{ cron: "* * * * *" }]) },
  {
    call: `POST ${V}/workers/scripts/vault/deployments`,
    body: json({ strategy: "percentage", versions: [{ version_id: "{{V_OLD_VERSION}}", percentage: 100 }] }),
  },
  { call: `POST ${V}/analytics_engine/sql`, body: "SELECT * FROM private" },
  { call: `PUT ${V}/workers/subdomain`, body: json({ subdomain: "mine" }) },
].map((attack) => ({ tries: attack.call, ...attack, must: ABSENT }));

/** The victim's ids in the attacker's own addresses. */
const ids: readonly ApiAttack[] = [
  { tries: "another's namespace as its own", call: `GET ${ME}/storage/kv/namespaces/{{V_KV}}/values/secret`, must: ABSENT },
  { tries: "keys of another's namespace as its own", call: `GET ${ME}/storage/kv/namespaces/{{V_KV}}/keys`, must: ABSENT },
  {
    tries: "writing to another's namespace as its own",
    call: `PUT ${ME}/storage/kv/namespaces/{{V_KV}}/values/secret`,
    body: "x",
    must: ABSENT,
  },
  { tries: "renaming another's namespace", call: `PUT ${ME}/storage/kv/namespaces/{{V_KV}}`, body: json({ title: "mine" }), must: ABSENT },
  {
    tries: "a way up in a key",
    call: `GET ${ME}/storage/kv/namespaces/{{ME_KV}}/values/..%2f..%2f{{V_KV}}%2fvalues%2fsecret`,
    must: ABSENT,
  },
  {
    tries: "another's database as its own",
    call: `POST ${ME}/d1/database/{{V_D1}}/query`,
    body: json({ sql: "SELECT * FROM vault" }),
    must: ABSENT,
  },
  {
    tries: "an export of another's database",
    call: `POST ${ME}/d1/database/{{V_D1}}/export`,
    body: json({ output_format: "polling" }),
    must: ABSENT,
  },
  {
    tries: "a restore to another database's bookmark",
    call: `POST ${ME}/d1/database/{{ME_D1}}/time_travel/restore?bookmark={{V_BOOKMARK}}`,
    must: /^(4\d\d|200) /,
  },
  { tries: "another's store as its own", call: `GET ${ME}/secrets_store/stores/{{V_STORE}}/secrets`, must: ABSENT },
  {
    tries: "a copy of another's secret",
    call: `POST ${ME}/secrets_store/stores/{{V_STORE}}/secrets/{{V_SECRET}}/duplicate`,
    body: json({ name: "COPY", scopes: ["workers"] }),
    must: ABSENT,
  },
  { tries: "another's secret in its own store", call: `GET ${ME}/secrets_store/stores/{{ME_STORE}}/secrets/{{V_SECRET}}`, must: ABSENT },
  { tries: "objects of another's class", call: `GET ${ME}/workers/durable_objects/namespaces/{{V_OBJECTS}}/objects`, must: ABSENT },
  { tries: "another's version as its own", call: `GET ${ME}/workers/scripts/own/versions/{{V_VERSION}}`, must: ABSENT },
  {
    tries: "deploying another's version",
    call: `POST ${ME}/workers/scripts/own/deployments`,
    body: json({ strategy: "percentage", versions: [{ version_id: "{{V_VERSION}}", percentage: 100 }] }),
    must: /^4\d\d /,
  },
  { tries: "another's deployment", call: `GET ${ME}/workers/scripts/own/deployments/{{V_VERSION}}`, must: ABSENT },
  { tries: "ending another's tail", call: `DELETE ${ME}/workers/scripts/own/tails/{{V_TAIL}}`, must: /^4\d\d |^200 / },
  {
    tries: "another's points by the dataset's name",
    call: `POST ${ME}/analytics_engine/sql`,
    body: "SELECT blob1 FROM private",
    must: /^(200|4\d\d) /,
  },
  {
    tries: "another database's figures",
    call: "POST /graphql",
    body: json({ query: "{ viewer { accounts { d1AnalyticsAdaptiveGroups { count } } } }", variables: { accountTag: "{{V_ID}}" } }),
    must: /no such account/,
  },
  { tries: "another's trail by a filter", call: `GET ${ME}/trail?account={{V_ID}}&task=%25`, must: /^(200|4\d\d) / },
  { tries: "another's log by a filter", call: `GET ${ME}/logs?worker=vault&account={{V_ID}}`, must: /^(200|4\d\d) / },
  { tries: "the account of two parameters", call: `GET ${ME}/../{{V_ID}}/workers/scripts`, must: ABSENT },
  { tries: "the account behind an encoded slash", call: `GET ${ME}%2f..%2f{{V_ID}}/workers/scripts`, must: ABSENT },
  { tries: "the account in capitals", call: `GET /accounts/{{V_ID_UPPER}}/workers/scripts`, must: ABSENT },
  { tries: "the account by its subdomain", call: `GET /accounts/{{V_SUB}}/workers/scripts`, must: ABSENT },
];

const tokens: readonly ApiAttack[] = [
  ...[
    ["no token", ""],
    ["an empty token", "Bearer "],
    ["the session of an upload", "Bearer {{V_JWT}}"],
    ["its own upload's session", "Bearer {{ME_JWT}}"],
    ["a token of its own making", `Bearer mft_${"a".repeat(57)}`],
    ["an owner's token cut short", "Bearer {{ME_TOKEN_SHORT}}"],
    ["a claim link's secret", "Bearer {{V_CLAIM_KIND}}"],
    ["an unsigned token", "Bearer eyJhbGciOiJub25lIn0.eyJhY2NvdW50Ijoie3tWX0lEfX0ifQ."],
    ["a password", "Basic e3tWX0lEfX06eA=="],
    ["two tokens", "Bearer {{ME_TOKEN}}, Bearer x"],
  ].map(([tries = "", authorization = ""]) => ({
    tries: `${tries} at another's account`,
    call: `GET ${V}/workers/scripts`,
    headers: { authorization },
    must: /^(401|403|404|400) /,
  })),
  {
    tries: "an owner's cookie with a token's call",
    call: `GET /accounts/{{O_ID}}/workers/scripts`,
    headers: { cookie: "{{O_COOKIE}}" },
    must: ABSENT,
  },
  {
    tries: "an owner's cookie alone",
    call: `GET /accounts/{{O_ID}}/workers/scripts`,
    headers: { cookie: "{{O_COOKIE}}", authorization: "" },
    must: /^(401|403) /,
  },
  {
    tries: "another site's page",
    call: `GET ${ME}`,
    headers: { origin: "http://{{V_HOST}}", "sec-fetch-site": "cross-site" },
    must: /^(403|200) /,
  },
  { tries: "another name of the server", call: `GET ${ME}`, headers: { host: "{{V_HOST}}" }, must: /^(4\d\d) / },
  {
    tries: "an address of the outside as its own",
    call: `GET ${ME}`,
    headers: { "x-forwarded-for": "127.0.0.1", "x-forwarded-host": "evil.example", forwarded: "for=1.2.3.4;host=evil.example" },
    must: /^200 /,
  },
  {
    tries: "a file for another's session",
    call: `POST ${ME}/workers/assets/upload?base64=true`,
    headers: { authorization: "Bearer {{V_JWT}}" },
    body: "x",
    must: REFUSED,
  },
  {
    tries: "another's export under its own address",
    call: `GET ${ME}/d1/database/{{ME_D1}}/export/file?capability={{V_EXPORT}}`,
    headers: { authorization: "" },
    must: REFUSED,
  },
  {
    tries: "its own import into another's database",
    call: `PUT ${V}/d1/database/{{V_D1}}/import/file?capability={{ME_IMPORT}}`,
    headers: { authorization: "" },
    body: "DELETE FROM vault",
    must: REFUSED,
  },
  {
    tries: "an import's address as an export's",
    call: `GET ${ME}/d1/database/{{ME_D1}}/export/file?capability={{ME_IMPORT}}`,
    headers: { authorization: "" },
    must: REFUSED,
  },
  {
    tries: "a tail's address with an export's signature",
    call: `GET /tails/{{V_TAIL}}?capability={{V_EXPORT}}`,
    headers: { authorization: "", upgrade: "websocket" },
    must: REFUSED,
  },
  {
    tries: "an export's address of its own making",
    call: `GET ${V}/d1/database/{{V_D1}}/export/file?capability=eyJhbGciOiJub25lIn0.e30.`,
    headers: { authorization: "" },
    must: REFUSED,
  },
];

/** What is an operator's alone. */
const operations: readonly ApiAttack[] = [
  "GET /overview",
  "GET /accounts?filter=any",
  "GET /accounts/{{V_ID}}",
  "POST /accounts/{{V_ID}}/suspend",
  "POST /accounts/{{V_ID}}/release",
  "DELETE /accounts/{{V_ID}}",
  "GET /bans",
  "POST /bans",
  "GET /caps",
  "GET /reports",
  "POST /reports/{{V_ID}}/close",
].flatMap((call) =>
  ["{{ME_TOKEN}}", `mfk_${"a".repeat(57)}`].map((token) => ({
    tries: `${call} of the operator's with ${token.slice(0, 12)}`,
    call: call.replace(" ", " /operator"),
    headers: { authorization: `Bearer ${token}` },
    ...(call.startsWith("POST ") && { body: json({ reason: "x", range: "127.0.0.0/8", confirm: "127.0.0.0/8" }) }),
    must: /^(401|403|404) /,
  })),
);

const wearing: readonly ApiAttack[] = [
  {
    tries: "JSON that is a hundred thousand deep",
    call: `POST ${ME}/storage/kv/namespaces`,
    body: `{"title":${"[".repeat(1e5)}`,
    must: REFUSED,
  },
  {
    tries: "a prototype in JSON",
    call: `POST ${ME}/storage/kv/namespaces`,
    body: '{"__proto__":{"title":"x"},"constructor":{"prototype":{"title":"x"}}}',
    must: REFUSED,
  },
  {
    tries: "a body that claims to be packed",
    call: `POST ${ME}/storage/kv/namespaces`,
    body: "{}",
    headers: { "content-encoding": "gzip" },
    must: REFUSED,
  },
  {
    tries: "a filter that takes for ever",
    call: `POST ${ME}/workers/scripts/own/tails`,
    body: json({ filters: [{ query: "(a+)+$".repeat(2000) }] }),
    must: /^(4\d\d|200) /,
  },
  { tries: "a page that is endless", call: `GET ${ME}/storage/kv/namespaces?per_page=1e99&page=-1`, must: REFUSED },
  {
    tries: "ten thousand fields",
    call: `POST ${ME}/d1/database`,
    body: json(Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`f${n}`, n]))),
    must: REFUSED,
  },
  {
    tries: "a schedule of every second",
    call: `PUT ${ME}/workers/scripts/own/schedules`,
    body: json([{ cron: "* * * * * *" }]),
    must: REFUSED,
  },
  {
    tries: "a schedule in a zone of its own",
    call: `PUT ${ME}/workers/scripts/own/schedules`,
    body: json([{ cron: "TZ=Mars/Base * * * * *" }]),
    must: REFUSED,
  },
  {
    tries: "a schedule that never comes",
    call: `PUT ${ME}/workers/scripts/own/schedules`,
    body: json([{ cron: "0 0 31 2 *" }]),
    must: /^(4\d\d|200) /,
  },
  {
    tries: "more schedules than there may be",
    call: `PUT ${ME}/workers/scripts/own/schedules`,
    body: json(Array.from({ length: 50 }, (_, n) => ({ cron: `${n} * * * *` }))),
    must: REFUSED,
  },
  {
    tries: "SQL that reads files",
    call: `POST ${ME}/d1/database/{{ME_D1}}/query`,
    body: json({ sql: "ATTACH '/etc/passwd' AS x" }),
    must: REFUSED,
  },
  {
    tries: "SQL that never ends",
    call: `POST ${ME}/d1/database/{{ME_D1}}/query`,
    body: json({ sql: "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n || n FROM t LIMIT 40) SELECT length(max(n)) FROM t" }),
    must: REFUSED,
  },
  {
    tries: "points by SQL of another kind",
    call: `POST ${ME}/analytics_engine/sql`,
    body: "SELECT * FROM private; ATTACH '/etc/passwd' AS x",
    must: REFUSED,
  },
  {
    tries: "points from the catalogue",
    call: `POST ${ME}/analytics_engine/sql`,
    body: "SELECT name FROM sqlite_master",
    must: /^(200|4\d\d) /,
  },
  {
    tries: "points of every dataset by a union",
    call: `POST ${ME}/analytics_engine/sql`,
    body: "SELECT 1 UNION SELECT sql FROM sqlite_schema",
    must: /^(200|4\d\d) /,
  },
  {
    tries: "a life of a hundred years",
    call: "POST /provisioning/previews",
    headers: { authorization: "", "mayfly-lifetime": "3153600000" },
    body: "{}",
    must: REFUSED,
  },
  {
    tries: "an account without work",
    call: "POST /provisioning/previews",
    headers: { authorization: "" },
    body: json({ acceptTermsOfService: "yes", challengeToken: "x", solution: { checkpoints: "x" } }),
    must: REFUSED,
  },
  {
    tries: "another method by a header",
    call: `GET ${V}`,
    headers: { "x-http-method-override": "DELETE", "x-method-override": "DELETE" },
    must: ABSENT,
  },
];

export const apiCallers: readonly ApiAttack[] = [...theirs, ...writes, ...ids, ...tokens, ...operations, ...wearing];
