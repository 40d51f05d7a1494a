// Which version of a Worker answers one request: the one that the caller names, else the one that the caller's key
// falls on, else one by chance in proportion to the shares. Pure; what cannot be read is as good as not sent.
import { createHash } from "node:crypto";
import type { Route } from "../../../capsule/spec.ts";
import type { Choice } from "../../contract.ts";

type Version = Route["choices"][number];

// RFC 8941 §3.1.2 and §3.2: a dictionary's member is a key, a value and parameters. Keys may begin with a digit here,
// which the RFC forbids, as a Worker's name may.
const KEY = /[a-z0-9*][a-z0-9_.*-]*/y;
const STRING = /"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y;
/** Of a value that is no string: tokens, numbers, booleans, bytes; an inner list's brackets included. */
const OTHER = /(?:[A-Za-z0-9*?:+\-.][A-Za-z0-9!#$%&'*+\-.^_`|~:/=?]*|:[A-Za-z0-9+/=]*:|\((?:[^()"]|"(?:[^"\\]|\\.)*")*\))/y;
const SPACE = /[ \t]*/y;
/** Longer ones name no version of ours. */
const OVERRIDES_MAX = 4096;

/** Reads at a place of a text, and moves it. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** What the sticky expression matches, its first group where it has one. */
  take(expression: RegExp): string | undefined {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#text);
    if (found === null) return undefined;
    this.#at = expression.lastIndex;
    return found[1] ?? found[0];
  }

  skip(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }
}

/** The text of a string, "" of any other value, undefined where there is none. */
function readItem(reader: Reader): string | undefined {
  const text = reader.take(STRING)?.replace(/\\(.)/g, "$1");
  return text ?? (reader.take(OTHER) === undefined ? undefined : "");
}

/** What follows a key: a value, or nothing for a boolean, and parameters, which are passed over. */
function readMember(reader: Reader): string | undefined {
  const value = reader.skip("=") ? readItem(reader) : "";
  if (value === undefined) return undefined;
  while (reader.skip(";")) {
    reader.take(SPACE);
    if (reader.take(KEY) === undefined) return undefined;
    if (reader.skip("=") && readItem(reader) === undefined) return undefined;
  }
  return value;
}

/**
 * The string that a dictionary has for a key, as RFC 8941 §4.2.2 parses it: the last of several counts, and a field
 * that breaks the rules anywhere says nothing.
 */
export function readOverride(field: string, worker: string): string | undefined {
  if (field.length > OVERRIDES_MAX) return undefined;
  const reader = new Reader(field.trim());
  let found: string | undefined;
  while (!reader.done) {
    const key = reader.take(KEY);
    if (key === undefined) return undefined;
    const value = readMember(reader);
    if (value === undefined) return undefined;
    if (key === worker) found = value;
    reader.take(SPACE);
    if (reader.done) return found;
    if (!reader.skip(",")) return undefined;
    reader.take(SPACE);
    if (reader.done) return undefined;
  }
  return found;
}

/** A place in [0, 100) that is the same for a key at any time and on any machine, and another for each Worker. */
export function placeOf(worker: string, key: string): number {
  const digest = createHash("sha256").update(`${worker}\0${key}`).digest();
  return (digest.readUIntBE(0, 6) / 2 ** 48) * 100;
}

/** The version on which a place falls. What comes first begins at 0, so that keys never leave a share that grows there. */
export function versionAt(choices: readonly Version[], place: number): Version | undefined {
  let from = 0;
  let last: Version | undefined;
  for (const version of choices) {
    if (version.percentage === 0) continue;
    from += version.percentage;
    last = version;
    if (place < from) return version;
  }
  // Shares that sum to a little less than 100.
  return last;
}

/** @param random in [0, 1) */
export function choose(route: Route, choice: Choice, random: () => number): Version | undefined {
  const { choices, worker } = route;
  if (choices.length === 1) return choices[0];
  if (choice.overrides !== undefined) {
    const wanted = readOverride(choice.overrides, worker);
    const named = choices.find(({ version }) => version === wanted);
    if (named !== undefined) return named;
  }
  return versionAt(choices, choice.key ? placeOf(worker, choice.key) : random() * 100);
}
