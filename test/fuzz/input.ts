// One input of the fuzz: the bytes that go over a connection, and what may come back.

export type Kind = "recordings" | "routes" | "pages" | "edge" | "egress" | "proxy" | "tails";
export const KINDS: readonly Kind[] = ["recordings", "routes", "pages", "edge", "egress", "proxy", "tails"];

/** A request before it is bytes; texts hold placeholders such as {token}, and one character a byte. */
export type Draft = {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** How the body's length is told: as it is, by another number, in chunks, in bad chunks, or not at all. */
  readonly framing: "right" | "wrong" | "chunked" | "bad chunks" | "none";
};

export type Input = {
  readonly kind: Kind;
  /** Which listener it goes to. */
  readonly to: "api" | "edge" | "egress socket";
  readonly draft: Draft;
  /** Sent as they are after the answer's head: frames of a WebSocket. */
  readonly after?: string;
  /** For a report: what was done to an honest request. */
  readonly told: string;
};

const latin1 = (text: string): string => (/^[\0-\xff]*$/.test(text) ? text : Buffer.from(text.toWellFormed()).toString("latin1"));

function framed({ body, framing }: Draft): { lines: string[]; body: string } {
  switch (framing) {
    case "right":
      return { lines: body === "" ? [] : [`content-length: ${body.length}`], body };
    case "wrong":
      return { lines: [`content-length: ${body.length + (body.length % 2 === 0 ? 7 : -Math.min(body.length, 3))}`], body };
    case "chunked":
      return { lines: ["transfer-encoding: chunked"], body: `${body === "" ? "" : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\n\r\n` };
    case "bad chunks":
      return { lines: ["transfer-encoding: chunked"], body: `${(body.length + 5).toString(16)}\r\n${body}\r\nzz\r\n` };
    case "none":
      return { lines: [], body };
    default:
      return framing satisfies never;
  }
}

/** The request as bytes in latin1. */
export function toBytes(draft: Draft): string {
  const { lines, body } = framed({ ...draft, body: latin1(draft.body) });
  const head = [`${draft.method} ${draft.path} HTTP/1.1`, ...draft.headers.map(([name, value]) => `${name}: ${value}`), ...lines];
  return `${latin1(head.join("\r\n"))}\r\n\r\n${body}`;
}

/** Whether HTTP itself is kept to, so that the answer has to speak of more than that. RFC 3986 §3.3, RFC 9110 §5.5, RFC 9112 §3. */
export function isWellFormed({ method, path, headers, framing }: Draft): boolean {
  if (framing !== "right" && framing !== "chunked") return false;
  const size = headers.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
  const names = headers.map(([name]) => name.toLowerCase());
  return (
    /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/.test(method) &&
    /^\/[\w\-.~!$&'()*+,;=:@%/?]*$/.test(path) &&
    path.length + size < 12_000 &&
    headers.length < 200 &&
    headers.every(([name, value]) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name) && /^[\x20-\x7e]*$/.test(value)) &&
    names.filter((name) => name === "host").length === 1 &&
    headers.every(([name, value]) => name.toLowerCase() !== "host" || URL.parse(`http://${value}`)?.host === value.replace(/:80$/, "")) &&
    !names.some((name) => /^(content-length|transfer-encoding|connection|expect|upgrade|te|trailer)$/.test(name))
  );
}
