// Secrets of ours inside other text: found, however an address spells them, and taken out. docs/secrets.md tells
// scanners the same form. Finding wants the checksum; taking out does not, since half a doubt is enough.
import { isSecret, type SecretKind } from "./ids.ts";

const LENGTH = 61;
const LAYERS = 4;
/** The form in either case of letters, any of its characters percent-encoded; what follows the kind may hold another's beginning. */
const FORM = /(?:m|%[46]d)(?:f|%[46]6)(?:[a-z]|%[4-7][0-9a-f])(?:_|%5f)(?=((?:[0-9a-z]|%3\d|%[4-7][0-9a-f]){57}))/gi;
/** Encoded once more, as by a form that wraps an address. */
const ENCODED_AGAIN = /%(?:25)+(?=[0-9a-f]{2})/gi;

/** Whether the text can hold one at all; what most texts are asked and nothing more. */
const mayHold = (text: string): boolean => text.length >= LENGTH && (text.includes("_") || text.includes("%"));

function decoded(found: string): string {
  try {
    return decodeURIComponent(found).toLowerCase();
  } catch {
    return "";
  }
}

/** Every place in the text that has the form. */
const formsIn = (text: string): { readonly at: number; readonly form: string }[] =>
  Array.from(text.matchAll(FORM), ({ index, 0: kind, 1: digits = "" }) => ({ at: index, form: kind + digits }));

const kindOf = (secret: string): SecretKind => secret.slice(0, 3) as SecretKind;

/** Undoes one layer of percent-encoding of printable ASCII; what is none stays. */
const unwrapped = (text: string): string =>
  text.replace(/%[2-7][0-9a-f]/gi, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)));

/** Every secret in the text, whatever it opens and however often it was encoded, as it was issued. */
export function findSecrets(text: string): readonly string[] {
  if (!mayHold(text)) return [];
  const found = new Set<string>();
  for (let layer = 0, inner = text; layer < LAYERS; layer++) {
    for (const secret of formsIn(inner).map(({ form }) => decoded(form))) if (isSecret(kindOf(secret), secret)) found.add(secret);
    const next = inner.includes("%") ? unwrapped(inner) : inner;
    if (next === inner) break;
    inner = next;
  }
  return [...found];
}

function censored(text: string): string {
  let [kept, to] = ["", 0];
  for (const { at, form } of formsIn(text)) {
    if (at >= to) kept += `${text.slice(to, at)}${kindOf(decoded(form)) || "mft"}_[redacted]`;
    to = at + form.length;
  }
  return kept + text.slice(to);
}

/** The text with `mft_[redacted]` and kin in place of what has the form of a secret; all other text stays as it is. */
export function redactSecrets(text: string): string {
  if (!mayHold(text)) return text;
  const plain = censored(text);
  if (!plain.includes("%25")) return plain;
  const once = plain.replace(ENCODED_AGAIN, "%");
  const twice = censored(once);
  return twice === once ? plain : twice;
}
