// Text that strangers wrote, made safe to look at: nothing invisible, nothing that turns its direction, no
// towers of accents, no more than a bound. Escaping for HTML is the template's; this is for the reader's eyes.

// Controls, formats (bidirectional and zero-width ones among them), surrogates, private and unassigned characters,
// line and paragraph separators, and letters that are drawn as nothing. The joiner inside an emoji may stay.
const UNSEEN =
  /(?!(?<=\p{Extended_Pictographic}\ufe0f?\p{Emoji_Modifier}?)\u200d(?=\p{Extended_Pictographic}))[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]/gu;
// Without U+FEFF, which JavaScript counts among the spaces.
const SPACES = /(?:(?!\ufeff)[\s\u0085])+/gu;
const MANY_MARKS = /(\p{M}{3})\p{M}+/gu;

/** One line of at most `maxCharacters` code points; what cannot be seen becomes U+FFFD. */
export function plainText(text: string, maxCharacters: number): string {
  const seen = text
    .replaceAll(SPACES, " ")
    .replaceAll(UNSEEN, "\ufffd")
    .replaceAll(/\ufffd+/g, "\ufffd")
    .replaceAll(MANY_MARKS, "$1")
    .trim();
  const characters = Array.from(seen);
  return characters.length <= maxCharacters ? seen : `${characters.slice(0, maxCharacters - 1).join("")}…`;
}

// Neither control characters nor those that turn the direction of text: names stand beside buttons that people trust.
export const PLAIN = /^[^\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]+$/u;
