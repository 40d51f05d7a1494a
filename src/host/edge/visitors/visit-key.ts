// The key of the cookies that tell who was asked. It lies in the data directory, so that a restart asks nobody again; what
// it is worth is one press of a button, so a broken one is simply made anew.
import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const KEY_BYTES = 32;

/** @param data directory of the installation */
export function readVisitKey(data: string): Uint8Array {
  const path = join(data, "visits.key");
  try {
    const key = readFileSync(path);
    if (key.length === KEY_BYTES) return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const key = randomBytes(KEY_BYTES);
  writeFileSync(`${path}.new`, key, { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return key;
}
