// `mayfly help`: the commands, one line each.
import type { Command } from "./command.ts";

/** @param commands all others, in the order in which they are to be listed. */
export function helpFor(commands: readonly Command[]): Command {
  const self: Command = {
    name: "help",
    summary: "this list",
    run: () => {
      const listed = [...commands, self];
      const width = Math.max(...listed.map(({ name }) => name.length));
      console.log(
        `Usage: mayfly <command> [arguments]\n\n${listed.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join("\n")}`,
      );
      return Promise.resolve(0);
    },
  };
  return self;
}
