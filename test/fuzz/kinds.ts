// How inputs of each kind come about: from a recording, from the table of routes with fast-check, for the pages, the edge,
// the way out, and an open tail. Nothing here looks at the installation: ids are placeholders.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import type { Draft, Input, Kind } from "./input.ts";
import { mutate, mutateJson } from "./mutations.ts";
import type { Random } from "./random.ts";
import { readRecordings } from "./recording.ts";

const API_HOST = ["host", "127.0.0.1:{api}"] as const;
const PAGES_HOST = ["host", "localhost:{api}"] as const;
const AS_TOKEN = ["authorization", "Bearer {token}"] as const;
const CLOSE = "x-fuzz";

const recordings = readRecordings();

function recorded(random: Random): Input {
  const { run, headers, ...rest } = random.pick(recordings);
  const honest: Draft = { ...rest, headers: [API_HOST, ...headers], framing: "right" };
  const { draft, told } = mutate(honest, random);
  return { kind: "recordings", to: "api", draft, told: `wrangler ${run}, ${rest.method} ${rest.path.slice(0, 80)}: ${told}` };
}

/** docs/api.md has every route; a test holds it to that. */
const ROUTES = [...readFileSync(new URL("../../docs/api.md", import.meta.url), "utf8").matchAll(/^\| `([A-Z]+) (\/[^`]*)`/gm)].map(
  ([, method = "", path = ""]) => ({ method, path }),
);
const KEYS = [...new Set(recordings.flatMap(({ body }) => [...body.matchAll(/"(\w+)":/g)].map(([, key = ""]) => key)))].concat(
  "sql params batch key keys value metadata expiration expiration_ttl base64 titles action etag filename output_format current_bookmark scopes comment type percentage versions version_id env bindings".split(
    " ",
  ),
);

const leaf = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.string({ unit: "binary" }),
  fc.constantFrom("{version}", "{database}", "{namespace}", "app", "{other}"),
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc.array(tie("tree"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), fc.string()), tie("tree"), { maxKeys: 6 }),
  ),
}));
const segment = fc.oneof(
  fc.webSegment(),
  fc.constantFrom("app", "{version}", "{database}", "{namespace}", "{deployment}", "{tail}", "{store}", "{secret}", "SECRET", "key"),
);
const queries = fc.dictionary(
  fc.constantFrom("page", "per_page", "limit", "cursor", "from", "to", "force", "name", "order"),
  fc.oneof(fc.webQueryParameters(), fc.integer().map(String)),
  { maxKeys: 3 },
);

const routed: fc.Arbitrary<Draft> = fc
  .record({
    route: fc.constantFrom(...ROUTES),
    segments: fc.array(segment, { minLength: 4, maxLength: 4 }),
    body: fc.oneof(tree, leaf),
    query: queries,
    bare: fc.boolean(),
  })
  .map(({ route, segments, body, query, bare }) => {
    let used = 0;
    const path = route.path.replaceAll(/:(\w+)/g, (_, name: string) =>
      name === "account" ? "{account}" : (segments[used++ % 4] ?? "x") || "x",
    );
    const asked = Object.entries(query)
      .map(([name, value]) => `${name}=${value}`)
      .join("&");
    const takesBody = route.method !== "GET" && !(route.method === "DELETE" && bare);
    return {
      method: route.method,
      path: `/client/v4${path}${asked === "" ? "" : `?${asked}`}`,
      headers: [API_HOST, AS_TOKEN, ["content-type", "application/json"]],
      body: takesBody ? (JSON.stringify(body) ?? "") : "",
      framing: "right",
    };
  });

function route(random: Random): Input {
  const [draft] = fc.sample(routed, { seed: random.seed(), numRuns: 1 });
  if (draft === undefined) throw new Error("fast-check gave nothing");
  // Ending the account is what it asks for: once in a while is enough.
  const ends = draft.method === "DELETE" && /^\/client\/v4\/accounts\/\{account\}(\?|$)/.test(draft.path);
  const changed = ends && random.chance(0.9) ? { ...draft, path: `${draft.path}/none` } : draft;
  return { kind: "routes", to: "api", draft: changed, told: `${draft.method} ${draft.path}` };
}

const PAGES =
  `/ /claim /claim/open /claim/account /claim/confirm /claim/sign-up /claim/sign-in /claim/sign-out /sign-in /sign-up /sign-out /operator /operator/open /invitation
 /invitation/open /invitations /passkeys /passkeys/sign-in/options /passkeys/sign-in /passkeys/add/options /passkeys/add /passkeys/x/remove /accounts/{account}
 /accounts/{account}/tokens /accounts/{account}/tokens/x/end /accounts/{account}/end /icon.svg /errors /healthz /metrics /nowhere`.split(
    /\s+/,
  );
const FORM_FIELDS = "name email password link account permissions expires hours title token confirm id response way next answer ip".split(
  " ",
);

function page(random: Random): Input {
  const posts = random.chance(0.5);
  const form = Array.from(
    { length: random.below(6) },
    () => `${random.pick(FORM_FIELDS)}=${encodeURIComponent(random.oddText().toWellFormed())}`,
  ).join("&");
  const json = JSON.stringify({ response: random.oddValue(), id: random.oddText() });
  // Passwords cost what they must: few of them.
  const path = random.pick(PAGES);
  const dear = posts && /sign-(in|up)$/.test(path) && random.chance(0.8);
  const cookie = random.pick([
    "{cookie}",
    `mayfly_session=${random.bytes(30).replaceAll(/[^\x21-\x7e]|;/g, "")}`,
    `mayfly_claim=${"a".repeat(80)}; {cookie}`,
  ]);
  const honest: Draft = {
    method: posts ? "POST" : "GET",
    path: dear ? "/claim/confirm" : path,
    headers: [
      PAGES_HOST,
      ["x-forwarded-for", `10.${random.below(256)}.${random.below(256)}.${random.below(256)}`],
      ["cookie", cookie],
      ...(posts
        ? ([
            ["origin", "http://localhost:{api}"],
            ["content-type", "application/x-www-form-urlencoded"],
          ] as const)
        : []),
    ],
    body: posts ? (random.chance(0.9) ? form : json) : "",
    framing: "right",
  };
  const { draft, told } = random.chance(0.6) ? mutate(honest, random) : { draft: honest, told: "as it is" };
  return { kind: "pages", to: "api", draft, told: `${honest.method} ${honest.path}: ${told}` };
}

const EDGE_HOSTS = [
  "{echo}",
  "{site}",
  "{preview}",
  "{neighbour}",
  "nobody--nothing.mayfly.localhost",
  "mayfly.localhost",
  "example.com",
  "x--{echo}",
];
const EDGE_PATHS = [
  "/",
  "/a.txt",
  "/big.txt",
  "/dir/",
  "/dir",
  "/..%2f..%2fetc/passwd",
  "/%00",
  "//host/x",
  "/?a=b",
  "/_headers",
  "/%ff",
  "*",
  "http://{echo}/",
  "http://localhost:{api}/",
  "/index.html",
];

function edge(random: Random): Input {
  const honest: Draft = {
    method: random.pick(["GET", "GET", "HEAD", "POST", "PUT", "OPTIONS"]),
    path: random.chance(0.6) ? random.pick(EDGE_PATHS) : `/${random.bytes(40).replaceAll(/[^\x21-\xff]/g, "")}`,
    headers: [
      ["host", `${random.pick(EDGE_HOSTS)}:{edge}`],
      ...Array.from(
        { length: random.below(4) },
        () =>
          [
            random.pick(["range", "if-none-match", "accept-encoding", "cookie", "cf-connecting-ip", CLOSE]),
            random.oddText().replaceAll(/[\r\n\0]/g, ""),
          ] as const,
      ),
    ],
    body: random.chance(0.3) ? random.bytes(200) : "",
    framing: random.pick(["right", "right", "right", "chunked"] as const),
  };
  const { draft, told } = random.chance(0.7) ? mutate(honest, random) : { draft: honest, told: "as it is" };
  return { kind: "edge", to: "edge", draft, told: `${honest.method} ${honest.path.slice(0, 60)}: ${told}` };
}

/** Nothing beyond this machine: names outside would be looked up for seconds. */
const TARGETS =
  `http://127.0.0.1:{api}/client/v4/user http://localhost:{api}/ http://[::1]:{api}/ http://0.0.0.0/ http://169.254.169.254/latest http://10.0.0.1/ http://{neighbour}/
 http://{neighbour}:81/ http://nobody--nothing.mayfly.localhost/ https://{neighbour}/ http://2130706433/ http://0x7f.1/ http://127.1/ http://[::ffff:127.0.0.1]/ http://user:pw@{neighbour}/
 http://{echo}/ask http://mayfly.localhost/ file:///etc/passwd data:,x http:// http://[/ http://a..b/ http://%31/ http://127.0.0.1:99999/`.split(
    /\s+/,
  );

function egress(random: Random): Input {
  const [host = "", port = "80"] = random
    .pick(TARGETS)
    .replace(/^\w+:\/*/, "")
    .replace(/\/.*/, "")
    .split(/:(?=\d+$)/);
  const init = {
    method: random.pick(["GET", "POST", "CONNECT", "TRACE", random.oddText()]),
    headers: {
      [random.pick(["host", "x-a", "connection", "transfer-encoding", "proxy-authorization", random.oddText()])]: random.oddText(),
    },
    ...(random.chance(0.3) && { body: random.bytes(100) }),
  };
  const url = random.chance(0.8) ? random.pick(TARGETS) : `http://${random.oddText()}/${random.oddText()}`;
  const to = random.chance(0.5)
    ? { hostname: random.chance(0.7) ? host : random.oddText(), port: random.chance(0.7) ? Number(port) : random.oddValue() }
    : `${host}:${port}`;
  const asked = JSON.stringify(random.chance(0.7) ? { url, init } : { to });
  const draft: Draft = {
    method: "POST",
    path: "/ask",
    headers: [["host", "{echo}"]],
    body: random.chance(0.9) ? asked : mutateJson(asked, random),
    framing: "right",
  };
  return { kind: "egress", to: "edge", draft, told: asked.slice(0, 200) };
}

function proxyLine(random: Random): Input {
  const connects = random.chance(0.4);
  const target = random.pick(TARGETS);
  const authority = target.replace(/^\w+:\/*/, "").replace(/\/.*/, "");
  const honest: Draft = {
    method: connects ? "CONNECT" : random.pick(["GET", "POST", "HEAD", "PUT"]),
    path: connects ? (random.chance(0.8) ? authority : random.oddText()) : random.chance(0.8) ? target : random.oddText(),
    headers: [["host", random.chance(0.7) ? authority : random.oddText().replaceAll(/[\r\n]/g, "")]],
    body: random.chance(0.2) ? random.bytes(60) : "",
    framing: "right",
  };
  const { draft, told } = random.chance(0.7) ? mutate(honest, random) : { draft: honest, told: "as it is" };
  return { kind: "proxy", to: "egress socket", draft, told: `${honest.method} ${honest.path.slice(0, 80)}: ${told}` };
}

function frame(random: Random): string {
  const payload = random.bytes(random.pick([5, 130, 300]));
  const length = random.chance(0.7) ? payload.length : random.below(70_000);
  const head = [random.below(256), (random.chance(0.8) ? 0x80 : 0) | (length < 126 ? length : random.pick([126, 127]))];
  const long =
    length < 126 ? "" : head[1] === 126 ? String.fromCharCode(length >> 8, length & 255) : random.bytes(9).padEnd(8, "\0").slice(0, 8);
  return `${String.fromCharCode(...head)}${long}${random.bytes(5).padEnd(4, "\x01")}${payload}`;
}

function tail(random: Random): Input {
  const honest: Draft = {
    method: "GET",
    path: "{listen}",
    headers: [
      API_HOST,
      ["connection", "Upgrade"],
      ["upgrade", "websocket"],
      ["sec-websocket-version", "13"],
      ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
      ["sec-websocket-protocol", "trace-v1"],
    ],
    body: "",
    framing: "none",
  };
  const { draft, told } = random.chance(0.3) ? mutate(honest, random) : { draft: honest, told: "frames" };
  const after = Array.from({ length: 1 + random.below(5) }, () => frame(random)).join("");
  return { kind: "tails", to: "api", draft, after, told };
}

const MAKE: Readonly<Record<Kind, (random: Random) => Input>> = {
  recordings: recorded,
  routes: route,
  pages: page,
  edge,
  egress,
  proxy: proxyLine,
  tails: tail,
};
const WEIGHTS: readonly (readonly [Kind, number])[] = [
  ["recordings", 35],
  ["routes", 25],
  ["pages", 10],
  ["edge", 18],
  ["egress", 4],
  ["proxy", 5],
  ["tails", 3],
];
const DRAWN = WEIGHTS.flatMap(([kind, weight]) => Array.from({ length: weight }, () => kind));

/** The input that seed and number stand for. @param only of these kinds */
export function makeInput(random: Random, only: readonly Kind[]): Input {
  return MAKE[random.pick(DRAWN.filter((kind) => only.includes(kind)))](random);
}
