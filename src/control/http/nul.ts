// PostgreSQL takes no NUL in a text, SQLite does, and nothing here is named by one: whatever arrives in a path or a
// form is asked for it before any handler sees it.
import { PlatformError } from "../../kernel/errors.ts";

const NAME_SHOWN = 60;

/** @param what names all of the values in the complaint; without it each its own field @throws PlatformError invalid_input */
export function refuseNul(values: Readonly<Record<string, string>>, what?: string): void {
  for (const [name, value] of Object.entries(values)) {
    if (!value.includes("\0")) continue;
    throw new PlatformError("invalid_input", { message: `${what ?? name.slice(0, NAME_SHOWN)}: holds a NUL character.` });
  }
}
