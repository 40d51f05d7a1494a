// A native program in place of workerd on a rung of the ladder: what a process could do that had broken out of the engine.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import type { LaunchRequest, Rung } from "../../../../src/host/contract.ts";
import { bubblewrapMissing } from "../../../../src/host/capsules/sandbox/bubblewrap.ts";
import { findProgram } from "../../../../src/host/capsules/sandbox/plain.ts";
import { compile, IS_ROOT, LIMITS, ownUsers, Site } from "./site.ts";
import type { Asked } from "./native-host.ts";

export type Said = { readonly out: string; readonly code: number | null; readonly signal: string | null; readonly outOfMemory: boolean };
export type Capsule = ReturnType<Site["capsule"]>;

export type Native = AsyncDisposable & {
  readonly site: Site;
  /** Of the host process: what every capsule of a rung without own users has. */
  readonly hostUid: number;
  readonly hostPid: number;
  readonly controllers: ReadonlySet<string>;
  capsule(name: string): Capsule;
  /** Runs the program once. @param where its directories; new ones when it is left out */
  say(args: readonly string[], where?: Capsule, limits?: LaunchRequest["limits"]): Promise<Said>;
};

/** An ordinary user's id, nobody else's. */
const ORDINARY_UID = 321_000;

function reasonAgainst(rung: Rung): string | null {
  if (process.platform !== "linux" || !IS_ROOT) return "needs Linux and root";
  return rung.startsWith("bubblewrap") ? bubblewrapMissing(findProgram("bwrap")) : null;
}

function give(path: string, uid: number): void {
  chownSync(path, uid, uid);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) give(join(path, entry.name), uid);
    else chownSync(join(path, entry.name), uid, uid);
  }
}

/** Skips the test and answers null where the machine has not what the rung needs. */
export async function native(t: TestContext, rung: Rung, source: string): Promise<Native | null> {
  const reason = reasonAgainst(rung);
  if (reason !== null) return (t.skip(reason), null);
  await using stack = new AsyncDisposableStack();
  const site = stack.use(new Site());
  mkdirSync(join(site.runDirectory, "pids"), { recursive: true, mode: 0o700 });
  const program = compile(site.accountsDirectory, source);
  if (program === null) return (t.skip("needs a C compiler and a static C library: apt-get install gcc libc6-dev"), null);
  const hostUid = rung === "bubblewrap-user" ? ORDINARY_UID : 0;
  if (hostUid !== 0) {
    for (const path of [site.runDirectory, site.accountsDirectory]) give(path, hostUid);
    chmodSync(dirname(site.accountsDirectory), 0o711);
  }
  const words = [join(import.meta.dirname, "native-host.ts"), rung, site.runDirectory, site.accountsDirectory, program];
  const child = spawn(process.execPath, words, { env: {}, stdio: ["pipe", "pipe", "inherit"], uid: hostUid, gid: hostUid });
  stack.defer(async () => {
    const exited = once(child, "exit");
    child.stdin.end();
    if (child.exitCode === null) await exited;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error("the host ended");
    return JSON.parse(value);
  };
  const { controllers } = (await next()) as { controllers: string[] };
  const capsule = (name: string): Capsule => {
    const made = site.capsule(name, ownUsers(rung));
    if (hostUid !== 0) for (const path of [made.directory, made.socketDirectory]) give(path, hostUid);
    return made;
  };
  let count = 0;
  const owned = stack.move();
  return {
    site,
    hostUid,
    hostPid: child.pid ?? 0,
    controllers: new Set(controllers),
    capsule,
    say: async (args, where = capsule(`n${(count += 1)}`), limits = LIMITS) => {
      child.stdin.write(`${JSON.stringify({ ...where, args, limits } satisfies Asked)}\n`);
      return (await next()) as Said;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
