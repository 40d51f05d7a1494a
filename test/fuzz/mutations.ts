// What is done to an honest request so that it is none any more. Every mutation is a function of chance alone.
import type { Draft } from "./input.ts";
import type { Random } from "./random.ts";

type Mutation = (draft: Draft, random: Random) => Draft;

/** Placeholders that one may stand for another. */
const SWAPPED = "account token version deployment namespace database tail store secret other foreign stranger file bookmark".split(" ");

function mutateText(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const some = 1 + random.below(8);
  switch (random.below(6)) {
    case 0:
      return text.slice(0, at) + String.fromCharCode((text.charCodeAt(at) || 0) ^ (1 << random.below(8))) + text.slice(at + 1);
    case 1:
      return text.slice(0, at) + text.slice(at + some);
    case 2:
      return text.slice(0, at) + text.slice(at, at + some).repeat(2 + random.below(3)) + text.slice(at + some);
    case 3:
      return text.slice(0, at) + random.bytes(16) + text.slice(at);
    case 4:
      return text.slice(0, at);
    default:
      return text.slice(0, at) + random.oddText() + text.slice(at + some);
  }
}

type Place = { readonly holder: Record<string, unknown>; readonly key: string };

function placesOf(value: unknown): Place[] {
  if (typeof value !== "object" || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...placesOf(holder[key])]);
}

function deep(random: Random): unknown {
  let value: unknown = random.oddValue();
  for (let at = 0; at < 20 + random.below(200); at++) value = random.chance(0.5) ? [value] : { a: value };
  return value;
}

/** The JSON with one thing changed; bytes where it is none. */
export function mutateJson(text: string, random: Random): string {
  let root: { value: unknown };
  try {
    root = { value: JSON.parse(text) as unknown };
  } catch {
    return mutateText(text, random);
  }
  const { holder, key } = random.pick(placesOf(root));
  const before = holder[key];
  switch (random.below(8)) {
    case 0:
    case 1:
    case 2:
      holder[key] = random.oddValue();
      break;
    case 3:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      break;
    case 4:
      Object.defineProperty(holder, random.oddText(), { value: before, enumerable: true, configurable: true, writable: true });
      break;
    case 5:
      holder[key] = random.chance(0.5) ? [before, before] : { [key]: before };
      break;
    case 6:
      holder[key] = typeof before === "string" ? mutateText(before, random) : deep(random);
      break;
    default:
      // A key that comes twice.
      return text.replace(/\{/, `{${JSON.stringify(key)}:${JSON.stringify(random.oddValue()) ?? "0"},`);
  }
  return JSON.stringify(root.value) ?? "";
}

const boundaryOf = (draft: Draft): string | undefined =>
  draft.headers.map(([, value]) => /boundary=([^;]+)/.exec(value)?.[1]).find((found) => found !== undefined);

function mutateParts(body: string, boundary: string, random: Random): string {
  const parts = body
    .split(`--${boundary}\r\n`)
    .slice(1)
    .map((part) => part.replace(`--${boundary}--`, ""));
  if (parts.length === 0) return mutateText(body, random);
  const at = random.below(parts.length);
  const [head = "", ...rest] = (parts[at] ?? "").split("\r\n\r\n");
  const content = rest.join("\r\n\r\n");
  const put = (part: string): string[] => parts.with(at, part);
  const join = (all: readonly string[]): string => all.map((part) => `--${boundary}\r\n${part}`).join("") + `--${boundary}--\r\n`;
  switch (random.below(9)) {
    case 0:
      return join(random.shuffled(parts));
    case 1:
      return join([...parts, parts[at] ?? ""]);
    case 2:
      return join(put(`\r\n\r\n${content}`));
    case 3:
      return join(parts.toSpliced(at, 1));
    case 4:
      return join(put(`${head.replace(/name="[^"]*"/, () => `name="${random.oddText()}"`)}\r\n\r\n${content}`));
    case 5:
      return join(put(`${mutateText(head, random)}\r\n\r\n${content}`));
    case 6:
      return join(put(`${head.replace(/content-type: [^\r\n]*/i, () => `content-type: ${random.oddText()}`)}\r\n\r\n${content}`));
    case 7:
      return join(Array.from({ length: 300 }, () => parts[at] ?? ""));
    default: {
      const trimmed = content.replace(/\r\n$/, "");
      return join(put(`${head}\r\n\r\n${mutateJson(trimmed, random)}\r\n`));
    }
  }
}

const body: Mutation = (draft, random) => {
  const boundary = boundaryOf(draft);
  if (boundary !== undefined && random.chance(0.8)) return { ...draft, body: mutateParts(draft.body, boundary, random) };
  return { ...draft, body: random.chance(0.7) ? mutateJson(draft.body, random) : mutateText(draft.body, random) };
};

const HEADERS =
  `content-type content-length accept-encoding content-encoding authorization origin sec-fetch-site cookie range if-none-match if-match expect upgrade
 connection te transfer-encoding x-forwarded-for x-forwarded-proto x-forwarded-host forwarded host accept mayfly-lifetime mayfly-task user-agent
 cf-connecting-ip cf-ray content-disposition x-http-method-override`.split(/\s+/);

const header: Mutation = (draft, random) => {
  const at = random.below(Math.max(1, draft.headers.length));
  const [name = "x", value = ""] = draft.headers[at] ?? [];
  switch (draft.headers.length === 0 ? 3 : random.below(7)) {
    case 0:
      return { ...draft, headers: draft.headers.toSpliced(at, 1) };
    case 1:
      return { ...draft, headers: [...draft.headers, [name, value]] };
    case 2:
      return { ...draft, headers: draft.headers.with(at, [name, mutateText(value, random).replaceAll(/[\r\n\0]/g, "")]) };
    case 3:
      return { ...draft, headers: [...draft.headers, [random.pick(HEADERS), random.oddText().replaceAll(/[\r\n]/g, " ")]] };
    case 4:
      return { ...draft, headers: [...draft.headers, ["x-long", "x".repeat(random.pick([1000, 15_000, 33_000, 70_000]))]] };
    case 5:
      return {
        ...draft,
        headers: [...draft.headers, ...Array.from({ length: random.pick([50, 500, 2500]) }, (_, n) => [`x-${n}`, "y"] as const)],
      };
    default:
      return { ...draft, headers: random.shuffled(draft.headers) };
  }
};

const method: Mutation = (draft, random) => ({
  ...draft,
  method: random.pick(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "get", "BREW", ""]),
});

const escaped = (text: string): string => encodeURIComponent(text.toWellFormed());

const path: Mutation = (draft, random) => {
  const [where = "", query] = draft.path.split("?");
  const parts = where.split("/");
  const at = 3 + random.below(Math.max(1, parts.length - 3));
  const odd = random.chance(0.8) ? escaped(random.oddText()) : random.oddText().replaceAll(/[\s\0]/g, "");
  const changed = random.pick([
    () => parts.with(at % parts.length, random.chance(0.5) ? odd : `{${random.pick(SWAPPED)}}`),
    () => parts.toSpliced(at, 1),
    () => parts.toSpliced(at, 0, parts[at] ?? odd),
    () => parts.map((part) => part.replace(/\{(\w+)\}/, (whole) => (random.chance(0.5) ? `{${random.pick(SWAPPED)}}` : whole))),
    () => [mutateText(where, random).replaceAll(/[\s\0]/g, "")],
  ])();
  return { ...draft, path: changed.join("/") + (query === undefined ? "" : `?${query}`) };
};

const QUERY =
  `page per_page order direction limit cursor prefix force excludeScript bindings_inherit deployable base64 expiration expiration_ttl name
 fields from to since until level follow format url_encoded capability token search`.split(/\s+/);

const query: Mutation = (draft, random) => {
  const added = `${random.pick(QUERY)}=${random.chance(0.8) ? escaped(random.oddText()) : "%ff"}`;
  return { ...draft, path: `${draft.path}${draft.path.includes("?") ? "&" : "?"}${added}` };
};

const framing: Mutation = (draft, random) => ({ ...draft, framing: random.pick(["wrong", "chunked", "bad chunks", "none"] as const) });

const token: Mutation = (draft, random) => {
  const value = random.pick([
    "Bearer {foreign}",
    "Bearer {other}",
    "Bearer ",
    "Basic e30=",
    "Bearer {token}x",
    "Bearer {session}",
    "bearer   {token}",
    "{token}",
  ]);
  return { ...draft, headers: draft.headers.map(([name, was]) => (/^authorization$/i.test(name) ? [name, value] : [name, was])) };
};

const MUTATIONS: readonly (readonly [weight: number, name: string, mutation: Mutation])[] = [
  [8, "body", body],
  [3, "header", header],
  [1, "method", method],
  [4, "path", path],
  [2, "query", query],
  [1, "framing", framing],
  [1, "token", token],
];
const ALL = MUTATIONS.flatMap(([weight, name, mutation]) => Array.from({ length: weight }, () => ({ name, mutation })));

/** One to three mutations. */
export function mutate(draft: Draft, random: Random): { draft: Draft; told: string } {
  const chosen = Array.from({ length: 1 + random.below(3) }, () => random.pick(ALL)).filter(
    ({ name }) => draft.body !== "" || name !== "body",
  );
  const first = chosen.length > 0 ? chosen : [{ name: "path", mutation: path }];
  return { draft: first.reduce((so, { mutation }) => mutation(so, random), draft), told: first.map(({ name }) => name).join(", ") };
}
