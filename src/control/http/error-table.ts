// The table of errors as plain text, for agents and people who follow an error's documentation link.
import { ERRORS } from "../../kernel/errors.ts";

/** Every code with its HTTP status, its number in `errors[].code`, whether a retry helps, and the next step. */
export function errorTable(): string {
  const rows = Object.entries(ERRORS).map(([code, row]) =>
    [
      `#${code}`,
      `  HTTP ${row.status}, code ${row.number}, ${row.retry ? "a retry can help" : "a retry alone does not help"}`,
      `  ${row.next}`,
    ].join("\n"),
  );
  return `Errors of this installation\n\n${rows.join("\n\n")}\n`;
}
