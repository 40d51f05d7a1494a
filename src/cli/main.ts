// The commands of `mayfly`, each in its own file: a new one is imported here and added to COMMANDS.
import { SETTINGS } from "../config.ts";
import type { Command } from "./command.ts";
import { demo } from "./demo.ts";
import { helpFor } from "./help.ts";
import { settings } from "./settings.ts";
import { start } from "./start.ts";
import { wrangler } from "./wrangler.ts";

const COMMANDS: readonly Command[] = [start, wrangler, demo, settings];

const [name = "help", ...args] = process.argv.slice(2);
const help = helpFor(COMMANDS);
const command = /^(help|--help|-h)$/.test(name) ? help : COMMANDS.find((candidate) => candidate.name === name);
if (command === undefined) console.error(`mayfly has no command "${name}". \`mayfly help\` lists them.`);
process.exitCode = command === undefined ? 2 : await command.run(args, { environment: process.env, settings: SETTINGS });
