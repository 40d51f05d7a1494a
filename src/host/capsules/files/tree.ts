// The directory from which workerd serves a set of assets is named by what it holds, so it never changes once
// it is there, two versions with the same files share it, and making it again is harmless.
import { createHash } from "node:crypto";
import type { AssetsService } from "../../../capsule/spec.ts";

/** Name of the tree of these files: the SHA-256 of their sorted paths and hashes. */
export function treeName(service: Pick<AssetsService, "files">): string {
  const lines = service.files.map((file) => `${file.hash} ${file.path}\0`).sort();
  return createHash("sha256").update(lines.join("")).digest("hex");
}

/** The tree's path within the account's `assets/`. */
export function treePath(service: Pick<AssetsService, "files">): string {
  return `v/${treeName(service)}`;
}

/** Modification time, in whole seconds, that a file gets from its content: workerd's ETag is made of it. */
export function contentTimeSeconds(hash: string): number {
  // From 2001 to 2018, so never in the future of a clock; two contents of one size share a time once in 500 million.
  return 1_000_000_000 + (Number.parseInt(hash.slice(0, 12), 16) % 536_870_912);
}
