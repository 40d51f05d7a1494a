// The directory from which workerd serves a set of assets is named by what it holds, so it never changes once
// it is there, two versions with the same files share it, and making it again is harmless.
import { createHash } from "node:crypto";
import type { AssetsService } from "../../capsule/spec.ts";

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
  // 2001-09-09 and up to 34 years later: always in the past of nothing that compares it, never negative.
  return 1_000_000_000 + (Number.parseInt(hash.slice(0, 12), 16) % 1_073_741_824);
}
