// What the pinned workerd does as a process: standard input, sockets, exit codes, signals.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { encodeConfig } from "../../src/host/capsules/encode.ts";
import type { WorkerdConfig } from "../../src/host/capsules/workerd-config.ts";
import { get, internet, run, serve, shortDirectory, worker } from "../fixtures/workerd.ts";

const HELLO = `export default { fetch() { return new Response("hello") } }`;
const SERVE = ["serve", "--experimental", "--binary", "-"];

const listening = (socket: string): WorkerdConfig => ({
  services: [worker("main", HELLO), internet],
  sockets: [{ name: "http", address: `unix:${socket}`, service: { name: "main" }, http: {} }],
});

describe("workerd serve", () => {
  test("reads a binary configuration from standard input and says on its control descriptor when it listens", async (t) => {
    const socket = join(await shortDirectory(t), "a.sock");
    const running = await serve(t, listening(socket));
    assert.deepEqual(running.events(), [{ event: "listen", socket: "http", port: 0 }]);
    assert.equal((await get(socket, "/")).body, "hello");
  });

  test("never removes its socket file, and does not start where one lies: unlink before each start", async (t) => {
    const socket = join(await shortDirectory(t), "a.sock");
    const first = await serve(t, listening(socket));
    first.child.kill("SIGTERM");
    await first.ended;
    assert.ok(existsSync(socket));
    const second = run(SERVE, listening(socket));
    assert.notEqual(second.code, 0);
    assert.match(second.stderr, /Address already in use/);
    await rm(socket);
    await serve(t, listening(socket));
  });

  test("ends with 0 on SIGTERM when nothing is in flight", async (t) => {
    const socket = join(await shortDirectory(t), "a.sock");
    const running = await serve(t, listening(socket));
    running.child.kill("SIGTERM");
    await running.ended;
    assert.deepEqual([running.child.exitCode, running.child.signalCode], [0, null]);
  });

  test("without sockets it loads every Worker and ends: 0 when all start, 1 with the place when one does not", () => {
    assert.equal(run(SERVE, { services: [worker("main", HELLO), internet] }).code, 0);
    const bad = run(SERVE, { services: [worker("main", HELLO), worker("bad", `\n throw new TypeError("boom")`), internet] });
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /service bad: Uncaught TypeError: boom\n {2}at bad\.js:2:8/);
  });

  test("a module Worker without handlers starts", () => {
    assert.equal(run(SERVE, { services: [worker("main", "export default {}"), internet] }).code, 0);
  });

  test("a binding to an entrypoint that is not there stops the whole process, hence the absent service", () => {
    const binding = { name: "S", service: { name: "other", entrypoint: "Nope" } };
    const { code, stderr } = run(SERVE, { services: [worker("main", HELLO, { bindings: [binding] }), worker("other", HELLO), internet] });
    assert.equal(code, 1);
    assert.match(stderr, /no such named entrypoint/);
  });

  test("a binding to a service that is not there stops it too", () => {
    const { code } = run(SERVE, { services: [worker("main", HELLO, { bindings: [{ name: "S", service: { name: "no" } }] }), internet] });
    assert.equal(code, 1);
  });

  test("a Wasm binding is refused in a module Worker, so such bindings belong to service-worker format", () => {
    const wasm = { name: "W", wasmModule: new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) };
    const { code, stderr } = run(SERVE, { services: [worker("main", HELLO, { bindings: [wasm] }), internet] });
    assert.equal(code, 1);
    assert.match(stderr, /Wasm bindings are not allowed in modules-based scripts/);
  });

  test("a heap limit among the V8 flags ends a process that passes it, by a signal or as one", () => {
    const hog = worker("main", "const a = []; for (;;) a.push(new Array(1e5).fill(Math.random()));");
    const { code, signal, stderr } = run(SERVE, { services: [hog, internet], v8Flags: ["--max-old-space-size=32"] });
    assert.notEqual(code, 0);
    assert.ok(signal !== null || (code ?? 0) > 0);
    assert.match(stderr, /heap/i);
  });

  test("a configuration that is no message is refused with an exit code", () => {
    assert.notEqual(run(SERVE, new Uint8Array(16).fill(255)).code, 0);
    assert.equal(encodeConfig({ services: [] }).length % 8, 0);
  });
});

describe("workerd test", () => {
  test("takes the configuration from standard input, runs the named service alone and ends with its outcome", () => {
    const services = [
      worker("main", `export default { test() { console.log("main ran") } }`),
      worker("other", `export default { test() { console.log("other ran") } }`),
      internet,
    ];
    const { code, stdout } = run(["test", "--experimental", "--binary", "-", "main"], { services });
    assert.deepEqual([code, stdout.trim()], [0, "main ran"]);
    const failing = worker("main", `export default { test() { throw new Error("no") } }`);
    assert.equal(run(["test", "--experimental", "--binary", "-", "main"], { services: [failing, internet] }).code, 1);
  });

  test("a service that cannot start fails the run although another one is tested", () => {
    const services = [worker("main", `export default { test() {} }`), worker("bad", "throw new Error('bad')"), internet];
    assert.equal(run(["test", "--experimental", "--binary", "-", "main"], { services }).code, 1);
  });

  test("console.log goes to standard output, so a script can print what it likes there", () => {
    const services = [worker("main", `console.log("forged"); export default { test() {} }`), internet];
    assert.match(run(["test", "--experimental", "--binary", "-", "main"], { services }).stdout, /^forged$/m);
  });

  test("node:fs shows a script its own modules and no others", () => {
    const source = `import fs from "node:fs"; export default { test() { console.log(fs.readdirSync("/bundle").join()) } }`;
    const services = [worker("main", source), worker("other", HELLO), internet];
    assert.equal(run(["test", "--experimental", "--binary", "-", "main"], { services }).stdout.trim(), "main.js");
  });
});
