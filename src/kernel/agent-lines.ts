// The command lines with which an agent reaches this installation, the same wherever they are printed. Wrangler's
// cache of temporary accounts is not keyed by server, so each server gets a configuration home of its own.
import { createHash } from "node:crypto";
import { join } from "node:path";

/** The folder that stands in for the caller's XDG_CONFIG_HOME: one a server. */
export function configurationHome(home: string, origin: string): string {
  return join(home, ".config", "mayfly", createHash("sha256").update(origin).digest("hex").slice(0, 8));
}

/** For a machine with Node 22 or newer: one shell line, to be run in the project's folder. */
export function agentLine(origin: string): string {
  return `XDG_CONFIG_HOME="${configurationHome("$HOME", origin)}" CLOUDFLARE_API_BASE_URL=${origin}/client/v4 npx wrangler deploy --temporary`;
}
