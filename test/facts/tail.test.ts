// What the pinned workerd's tail events tell, on which the accounts' logs stand.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { get, internet, serve, shortDirectory, worker } from "../fixtures/workerd.ts";

/** Keeps events until somebody asks; a request that waits is woken by the event of another. */
const EAR = `import { WorkerEntrypoint } from "cloudflare:workers";
let kept = [], wake = () => {};
export class Tail extends WorkerEntrypoint {
  tail(items) { for (const item of items) kept.push({ props: this.ctx.props, ...JSON.parse(JSON.stringify(item)) }); wake(); }
}
export default { async fetch(request) {
  if (new URL(request.url).pathname === "/ping") return new Response("pong");
  if (kept.length === 0) await Promise.race([new Promise((resolve) => (wake = resolve)), scheduler.wait(3000)]);
  const said = JSON.stringify(kept); kept = []; return new Response(said);
} };`;

const MAIN = `export default { async fetch(request, env, ctx) {
  const { pathname } = new URL(request.url);
  if (pathname === "/log") { console.log("text", 1, { a: 1 }, new Error("an argument")); console.warn("w"); }
  if (pathname === "/throw") throw new RangeError("thrown");
  if (pathname === "/late") ctx.waitUntil(Promise.reject(new Error("late")));
  if (pathname === "/much") for (let at = 0; at < 3; at++) console.log("x".repeat(100_000));
  if (pathname === "/rpc") await env.OTHER.add(1, 2);
  if (pathname === "/call") return env.OTHER.fetch(request);
  return new Response("ok");
} };`;
const OTHER = `import { WorkerEntrypoint } from "cloudflare:workers";
export default class extends WorkerEntrypoint { add(a, b) { return a + b } fetch() { return new Response("other") } }`;

type Item = {
  readonly props: { readonly service: string };
  readonly outcome: string;
  readonly truncated: boolean;
  readonly wallTime: number;
  readonly cpuTime: number;
  readonly scriptName: string | null;
  readonly logs: readonly {
    level: string;
    message: readonly unknown[];
    timestamp: number;
    errorInfo?: readonly ({ stack: string } | null)[];
  }[];
  readonly exceptions: readonly { name: string; message: string; stack: string }[];
  readonly event: {
    request?: { url: string; headers: Record<string, string>; cf: unknown };
    response?: { status: number };
    rpcMethod?: string;
  } | null;
};

async function listening(t: TestContext) {
  const directory = await shortDirectory(t);
  const tails = (service: string) => [{ name: "ear", entrypoint: "Tail", props: { json: JSON.stringify({ service }) } }];
  const http = { cfBlobHeader: "mayfly-cf-blob" };
  await serve(
    t,
    {
      services: [
        internet,
        worker("ear", EAR),
        worker("main", MAIN, { bindings: [{ name: "OTHER", service: { name: "other" } }], tails: tails("main") }),
        worker("other", OTHER, { tails: tails("other") }),
      ],
      sockets: [
        { name: "in", address: `unix:${directory}/in.sock`, service: { name: "main" }, http },
        { name: "ear", address: `unix:${directory}/ear.sock`, service: { name: "ear" }, http: {} },
      ],
    },
    2,
  );
  const hear = async (): Promise<Item[]> => JSON.parse((await get(join(directory, "ear.sock"), "/")).body) as Item[];
  return {
    hear,
    ping: () => get(join(directory, "ear.sock"), "/ping"),
    ask: async (path: string, headers: Record<string, string> = {}): Promise<Item[]> => {
      const heard = hear();
      await get(join(directory, "in.sock"), path, headers);
      return heard;
    },
  };
}

describe("a tail event", () => {
  test("wakes a request that waits for it, and other requests are answered meanwhile", async (t) => {
    const { hear, ping, ask } = await listening(t);
    const began = performance.now();
    const waiting = hear();
    assert.equal((await ping()).body, "pong");
    await Promise.race([waiting, ask("/")]);
    assert.ok(performance.now() - began < 2_000);
  });

  test("names neither script nor time, but the props of its tail binding do", async (t) => {
    const { ask } = await listening(t);
    const [item] = await ask("/");
    assert.deepEqual(item?.props, { service: "main" });
    assert.deepEqual([item.scriptName, item.wallTime, item.cpuTime, item.outcome], [null, 0, 0, "ok"]);
  });

  test("has console calls with their arguments, and the stacks of errors among them", async (t) => {
    const { ask } = await listening(t);
    const [item] = await ask("/log");
    assert.deepEqual(
      item?.logs.map(({ level, message }) => [level, message]),
      [
        ["log", ["text", 1, { a: 1 }, "Error: an argument"]],
        ["warn", ["w"]],
      ],
    );
    assert.match(item.logs[0]?.errorInfo?.[3]?.stack ?? "", /main\.js:3/);
  });

  test("of an exception before the answer has that outcome; after it the outcome is ok", async (t) => {
    const { ask } = await listening(t);
    const [early] = await ask("/throw");
    assert.deepEqual([early?.outcome, early?.exceptions[0]?.name, early?.event?.response], ["exception", "RangeError", undefined]);
    const [late] = await ask("/late");
    assert.deepEqual([late?.outcome, late?.exceptions[0]?.message, late?.event?.response?.status], ["ok", "late", 200]);
  });

  test("has the request's headers with secrets taken out, its cf, and none of the front's own", async (t) => {
    const { ask } = await listening(t);
    const sent = {
      "cf-ray": "0123456789abcdef-MAY",
      cookie: "a=b",
      authorization: "x",
      "x-api-key": "k",
      "mayfly-cf-blob": '{"colo":"MAY"}',
    };
    const [item] = await ask("/?id=0123456789abcdef0123456789abcdef", sent);
    const { headers, cf, url } = item?.event?.request ?? { headers: {}, cf: null, url: "" };
    assert.deepEqual(cf, { colo: "MAY" });
    assert.deepEqual(
      [headers["cf-ray"], headers["cookie"], headers["authorization"], headers["x-api-key"], headers["mayfly-cf-blob"]],
      [sent["cf-ray"], "REDACTED", "REDACTED", "REDACTED", undefined],
    );
    assert.match(url, /\?id=REDACTED$/);
  });

  test("holds 256 KiB at most and says that it was cut", async (t) => {
    const { ask } = await listening(t);
    const [item] = await ask("/much");
    assert.equal(item?.truncated, true);
    assert.ok(JSON.stringify(item).length < 300_000);
  });

  test("of a callee comes apart from its caller's, with the same ray where the request was passed on", async (t) => {
    const { ask, hear } = await listening(t);
    const rpc = await ask("/rpc");
    if (rpc.length === 1) rpc.push(...(await hear()));
    const methods = rpc.map(({ props, event }) => `${props.service} ${event?.rpcMethod}`);
    assert.deepEqual(methods.toSorted(), ["main undefined", "other add"]);
    const calls = await ask("/call", { "cf-ray": "r" });
    if (calls.length === 1) calls.push(...(await hear()));
    const rays = calls.map(({ props, event }) => `${props.service} ${event?.request?.headers["cf-ray"]}`);
    assert.deepEqual(rays.toSorted(), ["main r", "other r"]);
  });
});
