// The peer: the same workerd with the same Worker and nothing around it, no sandbox, no edge, no limits.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeConfig } from "../src/host/capsules/workerd/encode.ts";
import { workerdBinary } from "../src/host/capsules/sandbox/binary.ts";
import { get, worker } from "../test/fixtures/workerd.ts";
import { temporaryDirectory } from "../test/fixtures/temporary-directory.ts";
import { hello } from "./client.ts";

const internet = { name: "internet", network: { allow: [] } };

/** The process, configured as ours are, on standard input. @param address `unix:…` or `127.0.0.1:…` */
function launch(address: string) {
  const config = encodeConfig({
    services: [worker("hello", hello("hello")), internet],
    sockets: [{ name: "http", address, service: { name: "hello" }, http: {} }],
  });
  const child = spawn(workerdBinary(), ["serve", "--experimental", "--binary", "-"], { stdio: ["pipe", "ignore", "ignore"], env: {} });
  const gone = once(child, "exit");
  child.stdin.end(config);
  return {
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

/** Milliseconds from the start of a process to its first response. */
export async function bareStartMs(): Promise<number> {
  await using directory = await temporaryDirectory("bare");
  const path = join(directory.path, "s");
  const startedMs = performance.now();
  await using _process = launch(`unix:${path}`);
  for (;;) {
    const body = await get(path, "/").then(
      (answer) => answer.body,
      () => null,
    );
    if (body === "hello") return performance.now() - startedMs;
    if (performance.now() - startedMs > 10_000) throw new Error("A bare workerd did not answer within 10 s.");
    await sleep(1);
  }
}

/** A process that answers on a TCP port of 127.0.0.1 for as long as the scope lasts. */
export function serveBare(port: number): AsyncDisposable & { readonly pid: number } {
  return launch(`127.0.0.1:${port}`);
}
