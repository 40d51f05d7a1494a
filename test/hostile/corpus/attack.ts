// What an attack is, as data: who tries what, how, and what must come of it. Names in double braces are filled in by the scene.
import type { Deploy } from "../../fixtures/tenant.ts";

type Tried = {
  readonly tries: string;
  /** It takes long and no rung has a part in it: carried out on the first rung of the machine alone. */
  readonly once?: true;
};

/** Code of a Worker of the attacker's: `request`, `env` and `ctx` are in reach, what it returns or throws is judged as text. */
export type CodeAttack = Tried & { readonly code: string; readonly must: RegExp };

/** A call of the API with the attacker's token, or with what `headers` say instead. */
export type ApiAttack = Tried & {
  /** Method and path below /client/v4, parted by a space. */
  readonly call: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** In place of a body: a Worker's upload. */
  readonly upload?: Deploy & { readonly code: string };
  /** Of status and message: `403 10000 Authentication error…`. */
  readonly must: RegExp;
};

/** A request to the edge; its answer judged as status line, header lines and body. */
export type EdgeAttack = Tried & {
  readonly host: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes sent as they are instead, with one answer's time to come back. */
  readonly raw?: string;
  readonly must: RegExp;
  readonly never?: RegExp;
};

/** What a visitor of the pages sends, one after the other, keeping cookies; the last answer is judged like the edge's. */
export type PageAttack = Tried & {
  readonly sends: readonly {
    readonly path: string;
    readonly form?: Readonly<Record<string, string>>;
    readonly headers?: Readonly<Record<string, string>>;
    readonly method?: string;
  }[];
  /** Whose browser; a stranger's when left out. */
  readonly as?: "person";
  readonly must: RegExp;
  readonly never?: RegExp;
};

/** An account of its own whose Worker wears something out; its host is asked for each path in turn. */
export type WearAttack = Tried & {
  readonly code: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Milliseconds after which the caller goes away; then it has no answer. */
  readonly patienceMs?: number;
  readonly paths: readonly string[];
  /** Of the answers' statuses and texts, a line each. */
  readonly must: RegExp;
};
