// The keeper's program as a capsule's user can read it: made into the run directory from the sources beside this folder.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const KEEPER = join(import.meta.dirname, "..", "keeper");
/** Of the door between the wings: what both sides compute alike. */
const CARRIED = ["object-id.ts", "bookmark.ts"].map((name) => join(import.meta.dirname, "..", "..", "..", "capsule", name));

/** Node's own, before the script: it starts in half the time on one thread, and its heap stays below the memory group. */
export const NODE_FLAGS = ["--single-threaded", "--no-warnings", "--max-old-space-size=128", "--disable-wasm-trap-handler"];

/** Name of the script within the directory. */
export const KEEPER_SCRIPT = "main.mjs";

/** Makes the program and returns its directory. */
export async function makeKeeperProgram(runDirectory: string): Promise<string> {
  const directory = join(runDirectory, "keeper");
  const words = ["--no-warnings", join(KEEPER, "strip.ts"), join(KEEPER, "program"), directory, ...CARRIED];
  await promisify(execFile)(process.execPath, words, { env: {} });
  return directory;
}
