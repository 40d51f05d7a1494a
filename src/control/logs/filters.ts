// A tail's filters as wrangler sends them, checked and put into the door's words. A filter that is not understood
// is refused by its place and name: events that it should have held back would pass otherwise.
import { isIP } from "node:net";
import { z } from "zod";
import { outcome, type TailQuery } from "../../capsule/logs.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { AccountId } from "../../kernel/ids.ts";
import { WORDING } from "../http/body.ts";

const LIST_MAX = 50;
const TEXT_MAX = 500;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

const text = z.string().min(1).max(TEXT_MAX);
const token = text.regex(TOKEN, "must be made of the characters of an HTTP token");
const list = <T extends z.ZodType>(of: T) => z.array(of).min(1).max(LIST_MAX);

/** One of these in each filter. Source: wrangler's src/tail/filters.ts. */
const SHAPES = {
  sampling_rate: z.number().gt(0, "must be above 0 and below 1").lt(1, "must be above 0 and below 1"),
  outcome: list(outcome),
  method: list(token),
  header: z.strictObject({ key: token, query: z.string().max(TEXT_MAX).optional() }),
  client_ip: list(text),
  query: text,
  scriptVersion: text,
};
type Name = keyof typeof SHAPES;

const isName = (name: string): name is Name => Object.hasOwn(SHAPES, name);

export const tailBody = z.object({
  filters: z.array(z.record(z.string(), z.unknown())).max(LIST_MAX).default([]),
});

const refuse = (message: string): never => {
  throw new PlatformError("invalid_input", { message });
};

function read<N extends Name>(name: N, value: unknown, place: string): z.output<(typeof SHAPES)[N]> {
  const parsed = SHAPES[name].safeParse(value, WORDING);
  if (parsed.success) return parsed.data as z.output<(typeof SHAPES)[N]>;
  const issue = parsed.error.issues[0];
  return refuse(`${[place, name, ...(issue?.path ?? []).map(String)].join(".")}: ${issue?.message ?? "not valid"}.`);
}

function address(value: string, place: string, caller: string): string {
  if (value === "self") return caller;
  return isIP(value) === 0
    ? refuse(`${place}.client_ip: must hold IP addresses or "self", not ${JSON.stringify(value.slice(0, 60))}.`)
    : value;
}

function translate(name: Name, value: unknown, place: string, caller: string): Partial<TailQuery> {
  switch (name) {
    case "sampling_rate":
      return { samplingRate: read(name, value, place) };
    case "outcome":
      return { outcomes: read(name, value, place) };
    case "method":
      return { methods: read(name, value, place).map((method) => method.toUpperCase()) };
    case "header": {
      const { key, query } = read(name, value, place);
      // `--header 'x-key:'` asks for the header alone.
      return { headers: [{ key: key.toLowerCase(), ...(query !== undefined && query !== "" && { query }) }] };
    }
    case "client_ip":
      return { clientIps: read(name, value, place).map((one) => address(one, place, caller)) };
    case "query":
      return { query: read(name, value, place) };
    case "scriptVersion":
      return { version: read(name, value, place) };
    default:
      return name satisfies never;
  }
}

/**
 * All filters as one question; each kind may come once, `header` often.
 * @param caller address that `self` stands for
 * @throws PlatformError invalid_input
 */
export function readFilters(
  target: { readonly account: AccountId; readonly worker: string },
  { filters }: z.output<typeof tailBody>,
  caller: string,
): TailQuery {
  const found: Partial<TailQuery>[] = [];
  const seen = new Set<string>();
  for (const [at, filter] of filters.entries()) {
    const place = `filters.${at}`;
    const [entry, ...more] = Object.entries(filter);
    if (entry === undefined || more.length > 0)
      return refuse(`${place}: must hold one of ${Object.keys(SHAPES).join(", ")}, and that alone.`);
    const [name, value] = entry;
    if (!isName(name)) return refuse(`${place}.${name.slice(0, 60)}: no such filter; there are ${Object.keys(SHAPES).join(", ")}.`);
    if (seen.has(name) && name !== "header") return refuse(`${place}.${name}: given twice; put all values into one filter.`);
    seen.add(name);
    found.push(translate(name, value, place, caller));
  }
  const headers = found.flatMap((part) => part.headers ?? []);
  return Object.assign({}, ...found, target, headers.length > 0 && { headers }) as TailQuery;
}
