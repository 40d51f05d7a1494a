// A capsule without bubblewrap: the same program under lowered limits and, as root, a user of its own.
// The file system and the network stay in sight of whoever escapes from the engine: for trusted code only.
import { execFileSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";

/** The program on the usual paths; null when it is not installed. The environment's PATH is not asked: it may be anyone's. */
export function findProgram(name: string): string | null {
  for (const directory of ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/run/current-system/sw/bin"]) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return null;
}

/** Words before the binary: no set-user-id program helps it, and it dies with us where util-linux can arrange that. */
export function plainPrefix(hasCpuShares: boolean): string[] {
  const prefix: string[] = [];
  const setpriv = process.platform === "linux" ? findProgram("setpriv") : null;
  if (setpriv !== null) {
    const words = [setpriv, "--no-new-privs", "--pdeathsig", "KILL"];
    try {
      execFileSync(setpriv, [...words.slice(1), "/bin/sh", "-c", ":"], { stdio: "ignore" });
      prefix.push(...words);
    } catch {
      // older util-linux: the sweep at start does without
    }
  }
  const nice = hasCpuShares ? null : findProgram("nice");
  if (nice !== null) prefix.push(nice, "-n", "5");
  return prefix;
}
