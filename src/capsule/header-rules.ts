// The text of `_headers` as the asset service reads it. Of two rules for one path the later takes the place of the
// earlier, so what is added for a path goes into the rule that is there.

/** The path of a rule's first line, as the asset service compares it; null for any other line. */
function pathOf(line: string): string | null {
  const path = line.trim();
  return path.startsWith("/") ? (URL.parse(`//${path}`, "relative://")?.pathname ?? null) : null;
}

/**
 * The text with one more header for a path.
 * @param path such as "/*.txt", in the form that a URL parser leaves as it is; @param header "Name: value"
 */
export function withHeaderRule(text: string, path: string, header: string): string {
  const lines = text.split("\n");
  const at = lines.findLastIndex((line) => pathOf(line) === path);
  if (at < 0) return `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${path}\n  ${header}\n`;
  return lines.toSpliced(at + 1, 0, `  ${header}`).join("\n");
}
