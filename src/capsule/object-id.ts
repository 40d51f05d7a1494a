// Which object a name stands for, computed as workerd computes it: its file on disk bears this id and its name nowhere.
// Imports nothing of ours: the keeper's program carries a copy into its sandbox.
import { createHash, createHmac } from "node:crypto";

const HALF_BYTES = 16;

/** 64 hexadecimal digits: the id of the object `name` in the namespace `uniqueKey`, as `idFromName` gives it. */
export function objectId(uniqueKey: string, name: string): string {
  const key = createHash("sha256").update(uniqueKey).digest();
  const half = (of: string | Buffer): Buffer => createHmac("sha256", key).update(of).digest().subarray(0, HALF_BYTES);
  const base = half(name);
  return Buffer.concat([base, half(base)]).toString("hex");
}
