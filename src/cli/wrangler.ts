// `mayfly wrangler …`: the caller's own wrangler, unmodified, pointed at one Mayfly server.
// Each server gets a configuration home of its own, since wrangler's cache of temporary accounts is not keyed by server.
import { chmodSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { configurationHome } from "../kernel/agent-lines.ts";
import type { Command } from "./command.ts";
import { findWrangler } from "./find-wrangler.ts";
import { runProgram } from "./run-program.ts";

const DEFAULT_URL = "http://localhost:8787";
const NONE =
  "No wrangler was found: not in this project, not in PATH, not beside Mayfly. Run `npm install --save-dev wrangler` here and try again.";

/** The server's origin, e.g. `http://localhost:8787`. @throws TypeError when it is no http(s) origin. */
export function serverOrigin(url: string | undefined): string {
  const value = url?.trim() || DEFAULT_URL;
  const parsed = URL.parse(value);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw new TypeError(`MAYFLY_URL must be an origin such as ${DEFAULT_URL}, not "${value}".`);
  }
  return parsed.origin;
}

export const wrangler: Command = {
  name: "wrangler",
  summary: "run your wrangler against this server: mayfly wrangler deploy --temporary",
  run: async (args, { environment }) => {
    let origin: string;
    try {
      origin = serverOrigin(environment["MAYFLY_URL"]);
    } catch (error) {
      console.error((error as Error).message);
      return 2;
    }
    const found = findWrangler(process.cwd(), environment["PATH"] ?? "");
    if (found === undefined) {
      console.error(NONE);
      return 1;
    }
    const home = configurationHome(environment["HOME"] ?? homedir(), origin);
    mkdirSync(home, { recursive: true, mode: 0o700 });
    chmodSync(home, 0o700);
    const theirs = { ...environment, CLOUDFLARE_API_BASE_URL: `${origin}/client/v4`, XDG_CONFIG_HOME: home };
    // wrangler needs Node 22; the caller's may be older, this one never is.
    return found.kind === "script" ? runProgram(process.execPath, [found.path, ...args], theirs) : runProgram(found.path, args, theirs);
  },
};
