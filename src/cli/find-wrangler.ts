// Finds the wrangler that the caller would have run: their project's, then their PATH's, then the one beside Mayfly.
// Nothing is downloaded.
import { accessSync, constants, readFileSync, realpathSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";

/** What to start: a JavaScript file for Node, or a program of its own. */
export type Wrangler = { readonly kind: "script" | "program"; readonly path: string };

type Manifest = { readonly bin?: string | Readonly<Record<string, string>> };

/** wrangler's entry as `node_modules` above `file` resolves it. */
function installedAbove(file: string): Wrangler | undefined {
  try {
    const manifest = createRequire(file).resolve("wrangler/package.json");
    const { bin } = JSON.parse(readFileSync(manifest, "utf8")) as Manifest;
    const entry = typeof bin === "string" ? bin : bin?.["wrangler"];
    return entry === undefined ? undefined : { kind: "script", path: join(dirname(manifest), entry) };
  } catch {
    return undefined;
  }
}

function onPath(path: string): Wrangler | undefined {
  for (const folder of path.split(delimiter)) {
    const candidate = join(folder, "wrangler");
    try {
      accessSync(candidate, constants.X_OK);
      if (folder === "" || !statSync(candidate).isFile()) continue;
      const target = realpathSync(candidate);
      const firstLine = readFileSync(target).subarray(0, 100).toString("latin1").split("\n", 1)[0] ?? "";
      return { kind: /^#!.*\bnode\b/.test(firstLine) ? "script" : "program", path: target };
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/**
 * @param folder the caller's, absolute.
 * @param path the caller's PATH.
 */
export function findWrangler(folder: string, path: string): Wrangler | undefined {
  return installedAbove(join(folder, "package.json")) ?? onPath(path) ?? installedAbove(import.meta.filename);
}
