// Starts control and host as two processes, keeps both running, and prints what each reader needs to go on.
// The host's environment carries no master key and no database address.
import { fork, type ChildProcess } from "node:child_process";
import { rmSync, rmdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CONTROL_ONLY, SettingError, prepareDirectories, readControlConfig, readHostConfig } from "./config.ts";
import { agentLine } from "./kernel/agent-lines.ts";
import { createLog, type Log } from "./kernel/log.ts";
import { failStart } from "./kernel/process-life.ts";

const RESTART_FIRST_MS = 100;
const RESTART_MOST_MS = 5000;
const STABLE_AFTER_MS = 10_000;
const STOP_WITHIN_MS = 15_000;

type Ready = { readonly ready: true; readonly operatorLink?: string | null; readonly rung?: string; readonly missing?: readonly string[] };
type Wing = { readonly ready: Promise<Ready>; stop(): Promise<void> };

const isReady = (message: unknown): message is Ready => typeof message === "object" && message !== null && "ready" in message;

/** Runs one wing, starting it again when it dies. Rejects when it cannot start the first time. */
function keep(name: "control" | "host", environment: NodeJS.ProcessEnv, log: Log): Wing {
  const path = fileURLToPath(new URL(`./${name}/main.ts`, import.meta.url));
  const first = Promise.withResolvers<Ready>();
  let child: ChildProcess | undefined;
  let stopping = false;
  let backOffMs = RESTART_FIRST_MS;
  let wasReady = false;

  const start = (): void => {
    const startedAt = Date.now();
    child = fork(path, { env: environment, stdio: ["ignore", "inherit", "inherit", "ipc"] });
    child.on("message", (message) => {
      if (!isReady(message)) return;
      wasReady = true;
      first.resolve(message);
    });
    child.once("exit", (code, signal) => {
      if (stopping) return;
      if (!wasReady) {
        first.reject(new WingFailed(`its ${name} process ended (${signal ?? code}); the reason is above.`));
        return;
      }
      backOffMs = Date.now() - startedAt > STABLE_AFTER_MS ? RESTART_FIRST_MS : Math.min(backOffMs * 2, RESTART_MOST_MS);
      log.error({ wing: name, code, signal, backOffMs }, "a wing died and is started again");
      setTimeout(start, backOffMs);
    });
  };
  start();
  const stop = async (): Promise<void> => {
    stopping = true;
    const running = child;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => void running.once("exit", () => resolve()));
    running.kill("SIGTERM");
    const late = setTimeout(() => running.kill("SIGKILL"), STOP_WITHIN_MS);
    await gone;
    clearTimeout(late);
  };
  return { ready: first.promise, stop };
}

function hostEnvironment(): NodeJS.ProcessEnv {
  const environment = { ...process.env };
  for (const name of CONTROL_ONLY) delete environment[name];
  return environment;
}

class AlreadyRunning extends Error {}
class WingFailed extends Error {}

/** Claims the socket directory: a second installation on it would sweep away the first one's capsules. */
async function claimRun(run: string): Promise<void> {
  const path = join(run, "main.sock");
  const taken = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => resolve(true)).once("error", () => resolve(false));
    probe.once("close", () => probe.destroy()).end();
  });
  if (taken)
    throw new AlreadyRunning(
      `Mayfly runs already with this data directory (its sockets are in ${run}). Stop it first, or set MAYFLY_DATA.`,
    );
  rmSync(path, { force: true });
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => void server.once("error", reject).listen(path, resolve));
  server.unref();
}

/** Takes the sockets away. Never recursively from the top: a host that was killed leaves the accounts mounted below it. */
function leaveRun(run: string): void {
  for (const name of ["c", "pids"]) rmSync(join(run, name), { recursive: true, force: true });
  for (const name of ["main.sock", "host.sock", "control.sock"]) rmSync(join(run, name), { force: true });
  try {
    rmdirSync(run);
  } catch {
    // Something else lies in it; the next start sweeps.
  }
}

type Facts = { readonly url: string; readonly edge: string; readonly control: Ready; readonly host: Ready; readonly dataHint: string };

function print({ url, edge, control, host, dataHint }: Facts): void {
  const prefix = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
  const lines = [
    "",
    `Mayfly is ready.`,
    `  Console and API   ${url}`,
    `  Operations        ${url}/operations (for operators)`,
    `  Workers answer at ${edge}`,
    `  Sandbox           ${host.rung ?? "unknown"}${host.missing?.length ? `; missing: ${host.missing.join("; ")}` : ""}`,
    `  Data              ${dataHint}`,
    "",
    "An agent deploys from its project's folder with",
    `  ${agentLine(url)}`,
    "or, where Node is older than 22, with",
    `  npm exec --prefix ${JSON.stringify(prefix)} -- mayfly wrangler deploy --temporary`,
    "",
    ...(control.operatorLink ? ["Open this once, now, to become the operator of this installation:", `  ${control.operatorLink}`, ""] : []),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

async function main(): Promise<void> {
  const config = readControlConfig(process.env);
  readHostConfig(process.env);
  prepareDirectories(config);
  await claimRun(config.run);
  const log = createLog("main", config.logLevel);
  const host = keep("host", hostEnvironment(), log);
  const control = keep("control", process.env, log);
  let stopping = false;
  const stop = async (code: number): Promise<void> => {
    if (stopping) return;
    stopping = true;
    await control.stop();
    await host.stop();
    leaveRun(config.run);
    process.exit(code);
  };
  process.on("SIGTERM", () => void stop(0)).on("SIGINT", () => void stop(0));
  try {
    const [hostReady, controlReady] = await Promise.all([host.ready, control.ready]);
    const edge = `${config.edgeUrl.protocol}//NAME--ACCOUNT.${config.edgeDomain}${config.edgeUrl.port && `:${config.edgeUrl.port}`}`;
    print({ url: config.url.origin, edge, control: controlReady, host: hostReady, dataHint: config.data });
  } catch (error) {
    await Promise.all([control.stop(), host.stop()]);
    throw error;
  }
}

try {
  await main();
} catch (error) {
  failStart(error, [SettingError, AlreadyRunning, WingFailed]);
}
