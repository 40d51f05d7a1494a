// What requests leave behind in a process goes when V8 collects the heap, so it must collect before the memory runs out.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { heapFlags } from "../../src/host/capsules/workerd/config.ts";
import { internet, serve, shortDirectory, worker } from "../fixtures/workerd.ts";

const CONNECTIONS = 8;
const REQUESTS_EACH = 5000;
const MEMORY_BYTES = 268_435_456;

/** Asks again and again on one connection, ten requests in one write. */
function ask(path: string, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path).setEncoding("latin1");
    const ten = "GET / HTTP/1.1\r\nHost: hello.example\r\n\r\n".repeat(10);
    let left = count;
    let answered = 0;
    const send = (): void => void socket.write(ten);
    socket.once("connect", send).once("error", reject);
    socket.on("data", (chunk) => {
      answered += String(chunk).split("HTTP/1.1 200").length - 1;
      if (answered < 10) return;
      answered -= 10;
      left -= 10;
      if (left > 0) return send();
      socket.destroy();
      resolve();
    });
  });
}

test("a Worker that is asked without a pause stays within its memory", async (t) => {
  if (process.platform !== "linux") return t.skip("needs /proc to read memory: runs on Linux");
  const path = join(await shortDirectory(t), "s");
  const { child } = await serve(t, {
    services: [worker("hello", `export default { fetch() { return new Response("hello"); } };`), internet],
    sockets: [{ name: "http", address: `unix:${path}`, service: { name: "hello" }, http: {} }],
    v8Flags: heapFlags(MEMORY_BYTES),
  });
  await Promise.all(Array.from({ length: CONNECTIONS }, () => ask(path, REQUESTS_EACH)));
  const rollup = readFileSync(`/proc/${child.pid}/smaps_rollup`, "utf8");
  const anonymousBytes = Number(/^Anonymous:\s+(\d+) kB/m.exec(rollup)?.[1]) * 1024;
  assert.ok(anonymousBytes > 0 && anonymousBytes < MEMORY_BYTES / 2, `${anonymousBytes} bytes`);
});
