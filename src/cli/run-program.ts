// Runs another program in this one's place: same terminal, same folder, its signals and exit code passed on.
import { spawn } from "node:child_process";
import { constants } from "node:os";

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/**
 * Runs `program` until it ends, its output untouched.
 * @returns its exit code; 128 plus the signal's number when a signal ended it, as shells do.
 * @throws the system's error when it cannot be started.
 */
export function runProgram(program: string, args: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(program, args, { stdio: "inherit", env: environment });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of FORWARDED) process.on(signal, forward);
  return new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  }).finally(() => {
    for (const signal of FORWARDED) process.off(signal, forward);
  });
}
