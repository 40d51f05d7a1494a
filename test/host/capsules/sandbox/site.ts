// A run directory, an accounts directory and capsules to put in them, for tests of the sandbox.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LaunchRequest, Rung, Sandbox, Sandboxed } from "../../../../src/host/contract.ts";
import { encodeConfig } from "../../../../src/host/capsules/workerd/encode.ts";
import { workerdBinary } from "../../../../src/host/capsules/sandbox/binary.ts";
import { createSandbox } from "../../../../src/host/capsules/sandbox/sandbox.ts";
import type { WorkerdConfig } from "../../../../src/host/capsules/workerd/workerd-config.ts";
import { createLog } from "../../../../src/kernel/log.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";
import { get, internet, worker } from "../../../fixtures/workerd.ts";

export const IS_ROOT = process.getuid?.() === 0;
const silent = createLog("sandbox-test", "silent");
export const LIMITS: LaunchRequest["limits"] = { memoryBytes: 256 * 1024 * 1024, cpuWeight: 100, maxProcesses: 32 };

/** Directories of one test's installation; the run directory is short and open to be passed through. */
export class Site implements AsyncDisposable {
  readonly #root = join(tmpdir(), `mfs-${randomBytes(4).toString("hex")}`);
  readonly runDirectory = join(this.#root, "run");
  readonly accountsDirectory: string;
  #uid = 300_000;

  /** @param accounts the accounts directory below the site's root. */
  constructor(accounts = "data/accounts") {
    mkdirSync(this.runDirectory, { recursive: true });
    this.accountsDirectory = join(this.#root, accounts);
    mkdirSync(join(this.#root, "data"), { mode: 0o700 });
    mkdirSync(this.accountsDirectory, { recursive: true });
  }

  sandbox(rung: "auto" | Rung, workerd = workerdBinary()): Promise<Sandbox> {
    return createSandbox({ runDirectory: this.runDirectory, accountsDirectory: this.accountsDirectory, workerd, rung, log: silent });
  }

  /** An account's directories as the host lays them out: code closed, assets readable, state its own. */
  capsule(
    name: string,
    ownUser: boolean,
  ): Pick<LaunchRequest, "uid" | "directory" | "socketDirectory"> & { directory: string; socketDirectory: string } {
    const uid = this.#uid++;
    const directory = join(this.accountsDirectory, name);
    const socketDirectory = join(this.runDirectory, `s-${name}`);
    for (const [path, mode] of [
      [directory, 0o750],
      [join(directory, "code"), 0o700],
      [join(directory, "assets"), 0o750],
      [join(directory, "state"), 0o700],
    ] as const) {
      mkdirSync(path, { mode });
    }
    mkdirSync(socketDirectory, { mode: 0o700 });
    writeFileSync(join(directory, "assets", "page"), "page");
    writeFileSync(join(directory, "code", "source"), "source");
    if (ownUser) {
      for (const path of [directory, join(directory, "assets")]) chownSync(path, 0, uid);
      for (const path of [join(directory, "state"), socketDirectory]) chownSync(path, uid, uid);
    }
    return { uid, directory, socketDirectory };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

export const ownUsers = (rung: Rung): boolean => rung === "bubblewrap-root" || rung === "root";

export type Running = { readonly process: Sandboxed; readonly socketPath: string; ask(path?: string): Promise<string> };

/** A configuration of one module Worker with a disk service on any inner path. */
export function oneWorker(source: string, socketPath: string, disk?: string): WorkerdConfig {
  const bindings = disk === undefined ? [] : [{ name: "DISK", service: { name: "disk" } }];
  return {
    services: [
      internet,
      worker("main", source, { bindings }),
      ...(disk === undefined ? [] : [{ name: "disk", disk: { path: disk, writable: true, allowDotfiles: true } }]),
    ],
    sockets: [{ name: "main", address: `unix:${socketPath}`, service: { name: "main" }, http: {} }],
  };
}

export const HELLO = `export default { fetch: () => new Response("hello") };`;

/** Starts a Worker in the sandbox and returns once it answers. */
export async function run(
  sandbox: Sandbox,
  capsule: Pick<LaunchRequest, "uid"> & { directory: string; socketDirectory: string },
  source = HELLO,
  more: { limits?: LaunchRequest["limits"]; disk?: string } = {},
): Promise<Running> {
  const { sockets } = sandbox.inner(capsule.directory, capsule.socketDirectory);
  const process = await sandbox.launch({
    ...capsule,
    args: ["serve", "--experimental", "--binary", "-"],
    stdin: encodeConfig(oneWorker(source, join(sockets, "main"), more.disk)),
    limits: more.limits ?? LIMITS,
    collectStdout: false,
  });
  const socketPath = join(capsule.socketDirectory, "main");
  const ask = async (path = "/"): Promise<string> => (await get(socketPath, path)).body;
  let over: unknown;
  void process.exited.then((exit) => (over = exit));
  await awaitUntil(
    async () => {
      if (over !== undefined) return "ended";
      return (await ask("/ready")) !== "";
    },
    { what: `an answer; ${process.stderr()}`, everyMs: 3 },
  );
  if (over !== undefined) throw new Error(`it ended with ${JSON.stringify(over)}: ${process.stderr()}`);
  return { process, socketPath, ask };
}

/** The words of `/proc/PID/status` in a line; an empty list when the process is gone. */
export function statusLine(pid: number, name: string): string[] {
  try {
    return new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]?.split(/\s+/) ?? [];
  } catch {
    return [];
  }
}

/** Pids of every process whose command line holds the text. */
export function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
      } catch {
        return false;
      }
    })
    .map(Number);
}

export const mountsBelow = (directory: string): string[] =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(` ${directory}/`));

const COMPILER = "cc";

/** Compiles a C program; null when the machine has no compiler or no static C library. */
export function compile(directory: string, source: string): string | null {
  const program = join(directory, "program");
  try {
    execFileSync(COMPILER, ["-O1", "-static", "-pthread", "-x", "c", "-o", program, "-"], {
      input: source,
      stdio: ["pipe", "ignore", "ignore"],
    });
    return program;
  } catch {
    return null;
  }
}
