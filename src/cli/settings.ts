// `mayfly settings`: every environment variable that the server reads, from the table that it reads them by.
import type { Command, Settings } from "./command.ts";

/** Two lines a setting: name with default, then unit and meaning. */
export function settingsTable(settings: Settings): string {
  return Object.values(settings)
    .map(({ name, fallback, unit, meaning }) => `${name}${fallback === "" ? "" : `=${fallback}`}\n    ${unit}: ${meaning}`)
    .join("\n");
}

export const settings: Command = {
  name: "settings",
  summary: "list every environment variable with default, unit and meaning",
  run: (_args, context) => {
    console.log(settingsTable(context.settings));
    return Promise.resolve(0);
  },
};
