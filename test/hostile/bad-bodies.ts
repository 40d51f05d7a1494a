// Bodies and path parameters that no honest client sends, as data, for every route alike.

export type BadBody = {
  readonly what: string;
  readonly body: string | Uint8Array | undefined;
  readonly type?: string;
  readonly encoding?: string;
};

const FIELDS =
  `name text type enabled previews_enabled versions strategy manifest secrets challengeToken solution acceptTermsOfService eventCode
   bindings tags env subdomain annotations compatibility_date compatibility_flags limits placement observability logpush tail_consumers
   main_module body_part keep_bindings assets force message result filters`.split(/\s+/);
const every = (value: unknown): string => JSON.stringify(Object.fromEntries(FIELDS.map((field) => [field, value])));

/** Well-formed but for what stands in its texts. */
const wellTyped = (text: string): Readonly<Record<string, unknown>> => ({
  versions: { versions: [{ version_id: text, percentage: 100 }], annotations: { [text]: text } },
  secret: { name: "S", text, type: "secret_text" },
  "secret's name": { name: text, text: "x" },
  secrets: { secrets: { [text]: { text } } },
  "latest's secrets": { env: { S: { text }, [text]: null }, annotations: { "workers/message": text } },
  subdomain: { subdomain: text },
  settings: { tags: [text], observability: { [text]: text }, tail_consumers: [{ service: text }] },
  "version's settings": { bindings: [{ type: "plain_text", name: "A", text }], limits: { [text]: text } },
  "service binding": { bindings: [{ type: "service", name: "A", service: text, entrypoint: text }] },
  manifest: { manifest: { [`/${encodeURIComponent(text.toWellFormed())}`]: { hash: "abc", size: 1 } } },
  "tail's filters": { filters: [{ query: text }, { header: { key: "a", query: text } }, { scriptVersion: text }] },
  "tail's method": { filters: [{ method: [text] }] },
  "tail's header": { filters: [{ header: { key: text } }] },
  "tail's address": { filters: [{ client_ip: [text] }] },
  "tail's unknown filter": { filters: [{ [text]: text }] },
  challenge: { acceptTermsOfService: "yes", challengeToken: text, solution: { checkpoints: text } },
});
const textual = (what: string, text: string): BadBody[] =>
  Object.entries(wellTyped(text)).map(([field, value]) => ({ what: `a ${field} with ${what}`, body: JSON.stringify(value) }));

const multipart = (parts: string): string => `--b\r\n${parts}\r\n--b--\r\n`;
const part = (name: string, content: string, type = "application/json"): string =>
  `Content-Disposition: form-data; name="${name}"; filename="${name}"\r\nContent-Type: ${type}\r\n\r\n${content}`;
const FORM = "multipart/form-data; boundary=b";

const texts = (text: string): string =>
  JSON.stringify({
    main_module: "index.js",
    bindings: [
      { type: "plain_text", name: "A", text },
      { type: "json", name: "B", json: { [text]: text } },
      { type: "secret_text", name: "C", text },
    ],
    tags: [text],
    annotations: { "workers/message": text },
  });

const metadatas: Readonly<Record<string, string>> = {
  "no JSON": "{",
  null: "null",
  "a list": "[]",
  "fields of wrong types": every(1),
  "fields that are objects": every({ a: { b: [] } }),
  "deep nesting": "[".repeat(20_000) + "]".repeat(20_000),
  "a binding that is null": JSON.stringify({ main_module: "index.js", bindings: [null] }),
  "a main module that is not there": JSON.stringify({ main_module: "nowhere.js" }),
  "a prototype": '{"main_module":"index.js","__proto__":{"bindings":[]},"bindings":[{"__proto__":{"type":"plain_text"},"name":"a"}]}',
  "a NUL": JSON.stringify({ main_module: "index\0.js", compatibility_date: "2026-01-01\0" }),
  "texts with a NUL": texts("a\0b"),
  "texts with half a surrogate": texts("a\ud800b"),
};

const worker = part("index.js", "export default {}", "application/javascript+module");

const forms: readonly BadBody[] = [
  ...Object.entries(metadatas).flatMap(([what, metadata]) =>
    ["metadata", "settings"].map((name) => ({
      what: `a form whose ${name} is ${what}`,
      body: multipart(`${part(name, metadata)}\r\n--b\r\n${worker}`),
      type: FORM,
    })),
  ),
  { what: "a form without parts", body: "--b--\r\n", type: FORM },
  { what: "a form that breaks off", body: `--b\r\n${part("metadata", "{").slice(0, -20)}`, type: FORM },
  { what: "a form of another boundary", body: multipart(worker).replaceAll("--b", "--c"), type: FORM },
  { what: "a form without a boundary", body: multipart(worker), type: "multipart/form-data" },
  { what: "a part without a name", body: multipart("Content-Type: text/plain\r\n\r\nx"), type: FORM },
  { what: "a part with a NUL in its name", body: multipart(part("a\0b", "x", "text/plain")), type: FORM },
  { what: "two thousand parts", body: `${`--b\r\n${part("x", "")}\r\n`.repeat(2000)}--b--\r\n`, type: FORM },
];

/** Refused by whatever reads a body. */
export const UNREAD = "no JSON";

/** Whether the body has text in it that databases differ over: a NUL, half a surrogate, marks. */
export const holdsText = (body: BadBody["body"]): boolean => typeof body === "string" && /\\u0000|\\ud800|\u2028|%00|\0/.test(body);

export const BAD_BODIES: readonly BadBody[] = [
  { what: "no body", body: undefined },
  { what: "an empty body", body: "" },
  { what: UNREAD, body: "{" },
  { what: "JSON and more", body: "{} {}" },
  ...["null", "[]", '"text"', "42", "true", "{}"].map((body) => ({ what: `the JSON ${body}`, body })),
  ...[null, 1, -1.5, 1e21, "", "x", true, [], [[]], [null], {}, { a: 1 }].map((value) => ({
    what: `every field being ${JSON.stringify(value)}`,
    body: every(value),
  })),
  { what: "every field with a NUL", body: every("a\0b") },
  { what: "every field half a surrogate", body: every("\ud800") },
  { what: "every field long", body: every("x".repeat(20_000)) },
  { what: "every field a list of a thousand", body: every(Array.from({ length: 1000 }, () => "x")) },
  {
    what: "names of every kind in maps",
    body: every({ "": "x", "\0": "x", "../x": "x", "__proto__ ": { text: "x" }, ["é".repeat(300)]: { text: "x" } }),
  },
  { what: "a number that is infinite", body: '{"name":1e999,"percentage":1e999,"versions":[{"version_id":"x","percentage":1e999}]}' },
  { what: "a prototype", body: '{"__proto__":{"name":"x"},"constructor":{"prototype":{"name":"x"}},"secrets":{"__proto__":{"text":"x"}}}' },
  { what: "deep lists", body: "[".repeat(100_000) },
  { what: "deep objects", body: `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}` },
  { what: "a string of 2 MB", body: JSON.stringify({ name: "x".repeat(2_000_000), text: "x", versions: "x" }) },
  { what: "invalid UTF-8", body: Buffer.from('{"name":"\xff\xfe\xc0\x80"}', "latin1") },
  { what: "UTF-16", body: Buffer.from('{"name":"x"}', "utf16le") },
  { what: "another content type", body: '{"name":"x"}', type: "application/x-www-form-urlencoded" },
  { what: "a content type that is none", body: '{"name":"x"}', type: "\u00e9;;;=" },
  { what: "a coding that is not so", body: "{}", encoding: "gzip" },
  ...textual("a NUL", "a\0b"),
  ...textual("half a surrogate", "a\ud800b"),
  ...textual("a line separator and marks", "a\u2028\u202e\r\nb"),
  ...forms,
];

/** In place of every parameter but the account, as they stand in a path. */
export const BAD_PARAMS: Readonly<Record<string, string>> = {
  "half an escape": "%",
  "an escape of other letters": "%zz",
  "bytes that are no UTF-8": "%ff%fe",
  "half a surrogate": "%ed%a0%80",
  "a NUL": "%00",
  "a NUL within": "a%00b",
  "a line break": "a%0d%0ab",
  "an encoded slash": "a%2fb",
  "an encoded way up": "..%2f..%2fx",
  "an encoded escape": "%252e%252e",
  "a long name": "a".repeat(10_000),
  "letters beyond ASCII": encodeURIComponent("ключ-🔑-名前"),
  "right-to-left marks": encodeURIComponent("a\u202eb\u0000"),
  "a prototype": "__proto__",
  "a constructor": "constructor",
  "a quote": "'%22%60;--",
  spaces: "%20%20",
};
