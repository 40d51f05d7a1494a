// Learns from the answers which texts only this installation knows, and puts placeholders in their place.
import { type Recorded } from "./recording.ts";

/** Where the id of a thing stands in an answer to such a request. */
const IDS: readonly (readonly [path: RegExp, field: string, placeholder: string])[] = [
  [/\/provisioning\/previews$/, "id", "account"],
  [/\/storage\/kv\/namespaces(\?|$)/, "id", "namespace"],
  [/\/d1\/database(\?|$)/, "uuid", "database"],
  [/\/(versions|scripts\/[^/]+)(\?|$)/, "deployment_id", "version"],
  [/\/versions(\/latest)?(\?|$)/, "id", "version"],
  [/\/deployments(\?|$)/, "id", "deployment"],
  [/\/deployments(\?|$)/, "version_id", "version"],
  [/\/tails$/, "id", "tail"],
  [/\/tails$/, "url", "listen"],
  [/\/provisioning\/previews$/, "url", "claim"],
  [/\/secrets_store\/stores(\?|$)/, "id", "store"],
  [/\/secrets_store\/stores\/[^/]+\/secrets(\?|$)/, "id", "secret"],
];
/** The same wherever it stands. */
const ANYWHERE: Readonly<Record<string, string>> = {
  apiToken: "token",
  challengeToken: "challenge",
  seed: "seed",
  jwt: "session",
  upload_url: "upload",
  signed_url: "download",
  filename: "file",
  at_bookmark: "bookmark",
  bookmark: "bookmark",
};

const LEAST_CHARACTERS = 8;

export class Placeholders {
  readonly #known = new Map<string, string>();

  learn(path: string, answer: unknown): void {
    const ids = IDS.filter(([pattern]) => pattern.test(path));
    const visit = (value: unknown): void => {
      if (typeof value !== "object" || value === null) return;
      for (const [name, inner] of Object.entries(value)) {
        const placeholder = typeof inner === "string" ? (ids.find(([, field]) => field === name)?.[2] ?? ANYWHERE[name]) : undefined;
        if (placeholder !== undefined && String(inner).length >= LEAST_CHARACTERS) this.note(String(inner), placeholder);
        visit(inner);
      }
    };
    visit(answer);
  }

  note(text: string, placeholder: string): void {
    this.#known.set(text, `{${placeholder}}`);
    // Signed addresses come back as a path of this server.
    if (/^\w+:\/\/[^/]+\/./.test(text)) this.#known.set(text.replace(/^\w+:\/\/[^/]+/, ""), `{${placeholder}}`);
  }

  apply(recorded: Recorded): Recorded {
    const longestFirst = [...this.#known].toSorted(([a], [b]) => b.length - a.length);
    const put = (text: string): string => longestFirst.reduce((so, [literal, placeholder]) => so.replaceAll(literal, placeholder), text);
    const body = put(recorded.body).replace(/"checkpoints":"[^"]*"/, '"checkpoints":"{checkpoints}"');
    return { ...recorded, path: put(recorded.path), headers: recorded.headers.map(([name, value]) => [name, put(value)]), body };
  }
}

const SECRET = /mf[a-z]_[0-9a-z]{20,}|eyJ[\w-]{10,}\.[\w-]+\.[\w-]+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;

/** What looks like a token or an id and is no placeholder. */
export function unmasked({ path, headers, body }: Recorded): string | null {
  return SECRET.exec([path, ...headers.flat(), body].join("\n"))?.[0] ?? null;
}
