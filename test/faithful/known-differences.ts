// The known differences are the tables of docs/compatibility.md: a row names cases, what each side answers and why.
// What a row shows in backticks must stand in that side's answer, so that the page cannot go stale.
import { readFileSync } from "node:fs";

export type Row = {
  /** Name of a case, or a pattern in which `*` stands for anything and `\*` for a star. */
  readonly cases: string;
  /** Texts that stand in the answers. */
  readonly miniflare: readonly string[];
  readonly mayfly: readonly string[];
  readonly reason: string;
};

const quoted = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => (text ?? "").replaceAll("\\|", "|"));

const PAGE = new URL("../../docs/compatibility.md", import.meta.url);

export const compatibilityPage = (): string => readFileSync(PAGE, "utf8");

/** @param heading of the section, as `KV` */
export function knownDifferences(heading: string): Row[] {
  const section = compatibilityPage()
    .split(/^## /m)
    .find((text) => text.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`docs/compatibility.md has no section ${heading}`);
  const lines = section.split("\n").filter((line) => line.startsWith("| `"));
  return lines.map((line) => {
    const [, cases = "", miniflare = "", mayfly = "", reason = ""] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    return { cases: quoted(cases)[0] ?? "", miniflare: quoted(miniflare), mayfly: quoted(mayfly), reason };
  });
}

const literal = (text: string): string => RegExp.escape(text.replaceAll(String.raw`\*`, "*"));

const matches = (row: Row, name: string): boolean => {
  const parts = row.cases.split(/(?<!\\)\*/).map(literal);
  return new RegExp(`^${parts.join(".*")}$`, "s").test(name);
};

/**
 * Compares the sides' answers with the rows.
 * @param answers by case, as text
 * @returns what is wrong, one line each: an untold difference, a row without one, an answer that a row tells otherwise
 */
export function faults(rows: readonly Row[], miniflare: ReadonlyMap<string, string>, mayfly: ReadonlyMap<string, string>): string[] {
  const wrong: string[] = [];
  const used = new Set<Row>();
  for (const [name, theirs] of miniflare) {
    const ours = mayfly.get(name) ?? "no answer";
    const row = rows.find((each) => matches(each, name));
    if (row) used.add(row);
    if (!row && theirs !== ours) wrong.push(`${name} differs and is not told:\n    Miniflare ${theirs}\n    Mayfly    ${ours}`);
    if (!row) continue;
    if (theirs === ours) wrong.push(`${name} is told to differ (${row.cases}) and does not: ${ours}`);
    for (const text of row.miniflare) if (!theirs.includes(text)) wrong.push(`${name}: Miniflare does not answer ${text}: ${theirs}`);
    for (const text of row.mayfly) if (!ours.includes(text)) wrong.push(`${name}: Mayfly does not answer ${text}: ${ours}`);
  }
  for (const row of rows) {
    if (!used.has(row)) wrong.push(`${row.cases} is told and no case has that name`);
    if (row.reason === "") wrong.push(`${row.cases} is told without a reason`);
  }
  return wrong;
}

/** Rows of the section on what only the original does: what the third column shows must stand in both sides' answers. */
export function sharedFaults(product: string, ...sides: readonly ReadonlyMap<string, string>[]): string[] {
  const rows = knownDifferences("Alike here and on Miniflare, otherwise on Cloudflare").filter(({ cases }) =>
    cases.startsWith(`${product}/`),
  );
  return rows.flatMap(({ cases, mayfly: texts }) =>
    sides.flatMap((answers) => {
      const answer = answers.get(cases.slice(product.length + 1)) ?? "no answer";
      return texts.filter((text) => !answer.includes(text)).map((text) => `${cases} is told to answer ${text}: ${answer}`);
    }),
  );
}
