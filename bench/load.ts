// Load from a process of its own: wrk where it is installed, else a small client in Node. The two are not comparable.
import { execFile, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const NODE_CLIENT = fileURLToPath(new URL("load-client.ts", import.meta.url));

export type Target = { readonly port: number; readonly host: string; readonly path?: string };
export type Load = { readonly requests: number; readonly perSecond: number; readonly p50Ms: number };
export type LoadTool = {
  readonly name: "wrk" | "node";
  /** Keeps `connections` busy for `seconds`, each waiting for its answer. @throws Error when an answer was not 2xx */
  load(target: Target, connections: number, seconds: number): Promise<Load>;
};

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 };

const wrk: LoadTool = {
  name: "wrk",
  load: async ({ port, host, path = "/" }, connections, seconds) => {
    const url = `http://127.0.0.1:${port}${path}`;
    const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency", "-H", `Host: ${host}`, url];
    const { stdout } = await run("wrk", args);
    if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(stdout);
    const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
    const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
    const [, value, unit = ""] = /\s50%\s+([\d.]+)(us|ms|s)\b/.exec(stdout) ?? [];
    return { requests, perSecond, p50Ms: Number(value) * (UNITS[unit] ?? Number.NaN) };
  },
};

const node: LoadTool = {
  name: "node",
  load: async ({ port, host, path = "/" }, connections, seconds) => {
    const { stdout } = await run(process.execPath, [NODE_CLIENT, String(port), host, String(connections), String(seconds), path]);
    return JSON.parse(stdout) as Load;
  },
};

/** @param preferred `node` takes Node's client even where wrk is installed */
export const loadTool = (preferred?: "node"): LoadTool =>
  preferred === "node" || spawnSync("wrk", ["-v"], { stdio: "ignore" }).error ? node : wrk;
