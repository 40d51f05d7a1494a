// Requests of the real wrangler as data. What only one installation knows (accounts, tokens, ids, signed addresses) is a
// placeholder such as {version}, so that a recording holds no secret and can be sent to any other.
import { readFileSync } from "node:fs";

export type Recorded = {
  /** The command that sent it, as one types it. */
  readonly run: string;
  readonly method: string;
  /** With query, from the root. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Bytes as latin1. */
  readonly body: string;
};

/** Each line of the file. `text` is UTF-8, `base64` what is none. */
type Line = Omit<Recorded, "body"> & { readonly text?: string; readonly base64?: string };

export const RECORDINGS = new URL("recordings/wrangler.ndjson", import.meta.url);

export function toLine({ body, ...rest }: Recorded): string {
  const bytes = Buffer.from(body, "latin1");
  const text = bytes.toString();
  const line: Line = {
    ...rest,
    ...(body !== "" && (Buffer.from(text).equals(bytes) ? { text } : { base64: bytes.toString("base64") })),
  };
  return JSON.stringify(line);
}

function fromLine(line: string): Recorded {
  const { text, base64, ...rest } = JSON.parse(line) as Line;
  return { ...rest, body: (text === undefined ? Buffer.from(base64 ?? "", "base64") : Buffer.from(text)).toString("latin1") };
}

export const readRecordings = (): Recorded[] => readFileSync(RECORDINGS, "utf8").trimEnd().split("\n").map(fromLine);

/** Values by placeholder, without braces. */
export type Values = Readonly<Record<string, string>>;

const fillText = (text: string, values: Values): string => text.replaceAll(/\{([a-z]+)\}/g, (whole, name: string) => values[name] ?? whole);

/** The request as this installation would get it. */
export const fill = (recorded: Recorded, values: Values): Recorded => ({
  ...recorded,
  path: fillText(recorded.path, values),
  headers: recorded.headers.map(([name, value]) => [name, fillText(value, values)]),
  body: fillText(recorded.body, values),
});
