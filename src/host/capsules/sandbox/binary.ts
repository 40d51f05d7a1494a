// Where the workerd binary of this platform lies: in the package that workerd's own package names for it.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "@cloudflare/workerd-linux-64",
  "linux-arm64": "@cloudflare/workerd-linux-arm64",
  "darwin-x64": "@cloudflare/workerd-darwin-64",
  "darwin-arm64": "@cloudflare/workerd-darwin-arm64",
};

/**
 * Absolute path of the pinned workerd.
 * @throws Error when the platform has none or `npm ci` did not install it.
 */
export function workerdBinary(): string {
  const name = PACKAGES[`${process.platform}-${process.arch}`];
  if (name === undefined) throw new Error(`workerd has no build for ${process.platform} on ${process.arch}`);
  const own = createRequire(import.meta.url);
  try {
    // Resolved from workerd's own folder, so that it is the version that the lock pins beside it.
    const fromWorkerd = createRequire(own.resolve("workerd/package.json"));
    return join(dirname(fromWorkerd.resolve(`${name}/package.json`)), "bin", "workerd");
  } catch (error) {
    throw new Error(`the package ${name} is not installed: run npm ci without --omit=optional`, { cause: error });
  }
}
