// Source maps are strangers' and parsing one can take any memory, so that it happens in a process of its own, which
// has nothing of ours in its environment, may touch no file but its code, and is killed when its time is over. Whatever becomes of it, the caller
// has a stack: the mapped one, or the one that it had.
import { spawn, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { serialize } from "node:v8";
import { filesIn } from "./mapped-stack.ts";
import type { MapTask } from "./mapper-child.ts";

const CHILD = fileURLToPath(new URL("./mapper-child.ts", import.meta.url));
const MAPPING = dirname(createRequire(import.meta.url).resolve("@jridgewell/trace-mapping/package.json"));

/** All that the process may read is its own code; it may write nothing and start nothing. */
const READABLE = [dirname(CHILD), dirname(MAPPING), join(CHILD, "../../../../../package.json")];

export const MAPPER_LIMITS = {
  /** Of a map or a module; a larger one is not looked at. */
  maxFileBytes: 16_777_216,
  /** Of all of them together. */
  maxBytes: 33_554_432,
  heapMib: 384,
  timeoutMs: 3000,
  maxAnswerChars: 16_384,
} as const;

const FLAGS = ["--permission", ...READABLE.map((path) => `--allow-fs-read=${path}`), `--max-old-space-size=${MAPPER_LIMITS.heapMib}`];

/** How the files of an upload are found, by the name that frames have for them. */
export type StackFiles = {
  /** Hash of the module; undefined when there is none of that name. */
  readonly module: (name: string) => string | undefined;
  readonly map: (name: string) => string | undefined;
  readonly read: (hash: string) => Promise<Uint8Array>;
};

async function taskFor(stack: string, { module, map, read }: StackFiles): Promise<MapTask> {
  const files: MapTask["files"][number][] = [];
  let left: number = MAPPER_LIMITS.maxBytes;
  const bounded = async (hash: string): Promise<Uint8Array | null> => {
    const bytes = await read(hash);
    if (bytes.byteLength > Math.min(left, MAPPER_LIMITS.maxFileBytes)) return null;
    left -= bytes.byteLength;
    return bytes;
  };
  for (const name of filesIn(stack)) {
    const [moduleHash, mapHash] = [module(name), map(name)];
    if (moduleHash === undefined) continue;
    const text = await bounded(moduleHash);
    if (text) files.push({ name, text, map: mapHash === undefined ? null : await bounded(mapHash) });
  }
  return { stack, files };
}

function runChild(task: MapTask, over: AbortSignal): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...FLAGS, CHILD], {
      env: {},
      stdio: ["pipe", "pipe", "ignore"],
      timeout: MAPPER_LIMITS.timeoutMs,
      killSignal: "SIGKILL",
      signal: over,
    });
    // First of all, and for good: one that could not be started has no streams, tells why later, and again when it is called off.
    child.on("error", () => resolve(null));
    const { stdin, stdout }: ChildProcess = child;
    if (!stdin || !stdout) {
      resolve(null);
      return;
    }
    let answer = "";
    stdout.setEncoding("utf8").on("data", (chunk: string) => {
      answer += chunk;
      if (answer.length > MAPPER_LIMITS.maxAnswerChars) child.kill("SIGKILL");
    });
    stdout.on("error", () => undefined);
    // It may end before it has read everything.
    stdin.on("error", () => undefined);
    child.once("close", (code) => resolve(code === 0 && answer !== "" ? answer : null));
    stdin.end(serialize(task));
  });
}

/** The stack in places of the author's files, with the line of the first one; as it came when that cannot be told. */
export async function mapStackOf(stack: string, files: StackFiles, over: AbortSignal): Promise<string> {
  try {
    const task = await taskFor(stack, files);
    if (task.files.length === 0) return stack;
    return (await runChild(task, over)) ?? stack;
  } catch {
    return stack;
  }
}
