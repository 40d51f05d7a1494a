// `mayfly start`: the whole server, as `npm start` runs it, with the caller's folder and environment.
import { fileURLToPath } from "node:url";
import type { Command } from "./command.ts";
import { runProgram } from "./run-program.ts";

export const start: Command = {
  name: "start",
  summary: "start the server; `mayfly settings` lists what it reads from the environment",
  run: (args, { environment }) =>
    runProgram(process.execPath, [fileURLToPath(new URL("../main.ts", import.meta.url)), ...args], environment),
};
