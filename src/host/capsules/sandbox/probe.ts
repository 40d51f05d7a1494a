// Whether a rung really works here: a tiny workerd is started in it, with the limits and groups of a tenant's,
// and must answer one request over its socket.
import { randomBytes } from "node:crypto";
import { chownSync, mkdirSync, rmSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sandboxed, LaunchRequest } from "../../contract.ts";
import { encodeConfig } from "../workerd/encode.ts";

const ANSWER = "fine";
const WAIT_MS = 15_000;
/** Above every account's; nobody else's in any usual numbering. */
const PROBE_UID = 165_536;
const LIMITS = { memoryBytes: 128 * 1024 * 1024, cpuWeight: 100, maxProcesses: 32 };

/** Why a rung cannot be used, in words for the operator. */
export class Unfit extends Error {}

const config = (socket: string): Uint8Array =>
  encodeConfig({
    services: [
      {
        name: "probe",
        worker: {
          modules: [{ name: "probe.js", esModule: `export default { fetch: () => new Response("${ANSWER}") };` }],
          compatibilityDate: "2026-01-01",
          globalOutbound: { name: "probe" },
        },
      },
    ],
    sockets: [{ name: "probe", address: `unix:${socket}`, service: { name: "probe" }, http: {} }],
  });

function ask(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: "/", headers: { host: "probe" }, agent: false }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (chunk: string) => (text += chunk));
      incoming.on("end", () => resolve(text));
      incoming.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

async function answers(process: Sandboxed, socketPath: string): Promise<void> {
  const until = Date.now() + WAIT_MS;
  let problem: string | null = null;
  while (problem === null) {
    const answer = await ask(socketPath).catch(() => null);
    if (answer === ANSWER) return;
    const exit = await Promise.race([process.exited, sleep(5)]);
    if (exit !== undefined) problem = `it ended with ${exit.signal ?? `exit code ${exit.code}`}`;
    else if (Date.now() > until) problem = `nothing heard for ${WAIT_MS / 1000} seconds`;
  }
  const said = process.stderr().trim().split("\n").slice(-3).join(" ");
  throw new Unfit(`a trial workerd did not answer: ${problem}${said && ` (${said})`}`);
}

export type ProbeTarget = {
  readonly runDirectory: string;
  readonly ownUsers: boolean;
  /** As the process sees its sockets' directory, given the real one. */
  readonly inner: (socketDirectory: string) => string;
  readonly launch: (request: LaunchRequest) => Promise<Sandboxed>;
};

/** @throws Unfit with the reason; nothing is left behind either way. */
export async function probe(target: ProbeTarget): Promise<void> {
  const socketDirectory = join(target.runDirectory, `probe-${randomBytes(4).toString("hex")}`);
  mkdirSync(socketDirectory, { mode: 0o700 });
  let process: Sandboxed | undefined;
  try {
    if (target.ownUsers) chownSync(socketDirectory, PROBE_UID, PROBE_UID);
    process = await target.launch({
      uid: PROBE_UID,
      directory: null,
      socketDirectory,
      args: ["serve", "--experimental", "--binary", "-"],
      stdin: config(join(target.inner(socketDirectory), "probe")),
      limits: LIMITS,
      collectStdout: false,
    });
    await answers(process, join(socketDirectory, "probe"));
  } catch (error) {
    if (error instanceof Unfit) throw error;
    const said = (error as { detail?: { stderr?: unknown } }).detail?.stderr;
    throw new Unfit(`a trial workerd could not be started: ${String(said || error)}`.trim(), { cause: error });
  } finally {
    process?.kill();
    await process?.exited;
    rmSync(socketDirectory, { recursive: true, force: true });
  }
}
