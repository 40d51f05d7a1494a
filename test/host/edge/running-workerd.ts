// A real workerd behind a unix socket, with one module Worker and, when asked for, an egress.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const ARCHITECTURE = process.arch === "x64" ? "64" : process.arch;
const BINARY = require.resolve(`@cloudflare/workerd-${process.platform}-${ARCHITECTURE}/bin/workerd`);

export const CF_BLOB_HEADER = "mayfly-cf-blob";
export const FORWARDED_PROTO_HEADER = "mayfly-forwarded-proto";

export type RunningWorkerd = AsyncDisposable & {
  readonly socketPath: string;
  readonly directory: string;
  /** SIGKILL, and the end of the process. */
  kill(): Promise<void>;
  /** Starts the same Worker again on the same socket. */
  restart(): Promise<void>;
};

export type WorkerdOptions = { readonly egressSocket?: string; readonly tcpPort?: number };

/** @param module text of an ES module Worker */
export async function runWorkerd(module: string, options: WorkerdOptions = {}): Promise<RunningWorkerd> {
  const directory = mkdtempSync(join(tmpdir(), "mayfly-edge-"));
  const socketPath = join(directory, "w.sock");
  writeFileSync(join(directory, "worker.js"), module);
  const http = `(cfBlobHeader = "${CF_BLOB_HEADER}", forwardedProtoHeader = "${FORWARDED_PROTO_HEADER}")`;
  const egress = options.egressSocket;
  const socket = (name: string, address: string): string => `(name = "${name}", address = "${address}", service = "main", http = ${http})`;
  writeFileSync(
    join(directory, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .main)${egress === undefined ? "" : `, (name = "egress", external = (address = "unix:${egress}", http = (style = proxy)))`} ],
  sockets = [ ${socket("unix", `unix:${socketPath}`)}${options.tcpPort === undefined ? "" : `, ${socket("tcp", `127.0.0.1:${options.tcpPort}`)}`} ],
);
const main :Workerd.Worker = (
  modules = [ (name = "worker.js", esModule = embed "worker.js") ],
  compatibilityDate = "2026-01-01",
  ${egress === undefined ? "" : 'globalOutbound = "egress",'}
);
`,
  );
  let child = await launch(directory, socketPath);
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  return {
    socketPath,
    directory,
    kill,
    restart: async () => {
      await kill();
      child = await launch(directory, socketPath);
    },
    [Symbol.asyncDispose]: async () => {
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function launch(directory: string, socketPath: string) {
  rmSync(socketPath, { force: true });
  const child = spawn(BINARY, ["serve", "--experimental", "--control-fd=3", join(directory, "config.capnp")], {
    stdio: ["ignore", "ignore", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const control = child.stdio[3];
  if (control === null || control === undefined) throw new Error("no control pipe");
  const failed = once(child, "exit").then(() => {
    throw new Error(`workerd did not start: ${stderr}`);
  });
  failed.catch(() => {});
  await Promise.race([once(control, "data"), failed]);
  return child;
}
