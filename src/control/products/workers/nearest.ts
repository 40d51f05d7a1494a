// Which of the known names a mistyped one was meant to be. Bounded: names of strangers are cut before they are compared.

const MAX_CHARS = 100;

/** Edits, neighbours changing places counted as one, that make one word of the other. */
function distance(from: string, to: string): number {
  let before: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      const cost = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1));
      next.push(swapped ? Math.min(cost, (before[j - 2] ?? 0) + 1) : cost);
    }
    before = row;
    row = next;
  }
  return row[to.length] ?? Infinity;
}

const plain = (text: string): string => text.slice(0, MAX_CHARS).toLowerCase().replaceAll(/[-_ ]/g, "");

/** The known name that differs least, if it differs by no more than a third of its letters; hyphens and case count nothing. */
export function nearest(wanted: string, known: Iterable<string>): string | undefined {
  const word = plain(wanted);
  let best: { readonly name: string; readonly edits: number } | undefined;
  for (const name of known) {
    const other = plain(name);
    if (Math.abs(other.length - word.length) > other.length / 3) continue;
    const edits = distance(word, other);
    if (edits <= Math.max(1, Math.floor(other.length / 3)) && edits < (best?.edits ?? Infinity)) best = { name, edits };
  }
  return best?.name;
}
