// Lays assets out as a directory of regular files, each another name of the stored one: never a symbolic link,
// since workerd follows those out of the directory. The tree appears whole or not at all.
import { link, rename, rm, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { checkAssetPaths } from "../../../capsule/asset-paths.ts";
import type { AssetsService } from "../../../capsule/spec.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import { codeOf, isAbsent, makeDirectory, syncDirectory, temporaryName } from "./durable.ts";

/** Links made at once. */
const WIDTH = 16;

export type TreePlace = {
  /** Directory of the files, named by hash. */
  readonly store: string;
  /** Directory of the trees. */
  readonly trees: string;
  readonly name: string;
  readonly nowSeconds: number;
};

async function linkFile(store: string, root: string, file: AssetsService["files"][number]): Promise<void> {
  try {
    await link(join(store, file.hash), root + file.path);
  } catch (error) {
    if (!isAbsent(error)) throw error;
    throw new PlatformError("capsule_failed", { message: `The bytes of the asset ${file.path} are not on disk.`, cause: error });
  }
}

/** Every directory the files lie in, parents first. */
function directories(root: string, files: AssetsService["files"]): string[] {
  const all = new Set<string>();
  for (const file of files) {
    for (let path = dirname(file.path); path !== "/"; path = dirname(path)) all.add(root + path);
  }
  return [...all].sort((a, b) => a.length - b.length);
}

/**
 * Makes `<trees>/<name>` from stored files, or marks it as wanted when it is there.
 * @throws PlatformError invalid_input for a path that cannot be a file, capsule_failed for bytes that are not stored.
 */
export async function growTree(files: AssetsService["files"], place: TreePlace): Promise<void> {
  const check = checkAssetPaths(files.map((file) => file.path));
  if (!check.ok) {
    throw new PlatformError("invalid_input", { message: `The asset path ${JSON.stringify(check.path.slice(0, 100))} ${check.problem}.` });
  }
  const tree = join(place.trees, place.name);
  try {
    await utimes(tree, place.nowSeconds, place.nowSeconds);
    return;
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
  const root = join(place.trees, temporaryName());
  try {
    await makeDirectory(root, 0o750);
    const made = directories(root, files);
    for (const directory of made) await makeDirectory(directory, 0o750);
    for (let at = 0; at < files.length; at += WIDTH) {
      await Promise.all(files.slice(at, at + WIDTH).map((file) => linkFile(place.store, root, file)));
    }
    const fresh = [...made, root];
    for (let at = 0; at < fresh.length; at += WIDTH) await Promise.all(fresh.slice(at, at + WIDTH).map(syncDirectory));
    await rename(root, tree).catch(async (error: unknown) => {
      // Another call made it meanwhile: the same name, so the same files.
      if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "EEXIST") throw error;
      await rm(root, { recursive: true });
    });
    await syncDirectory(place.trees);
  } catch (error) {
    await rm(root, { recursive: true, force: true });
    throw error;
  }
}
