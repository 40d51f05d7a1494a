// `wrangler tail` as an agent runs it, against the real runtime: what a Worker says, what it throws, each filter, and a
// clean end by SIGINT, by DELETE of the account and by the account's time.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { awaitUntil } from "../fixtures/await-until.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { startAgent, type Agent, type Running } from "../fixtures/wrangler.ts";

const CODE = `export default { async fetch(request, env, context) {
  const { pathname } = new URL(request.url);
  console.log("said", { path: pathname }, 7);
  if (pathname.startsWith("/throw")) throw new TypeError("thrown at " + pathname);
  if (pathname.startsWith("/warn")) console.warn("careful " + pathname);
  return new Response("ok");
} };`;

const CALLEE = `import { WorkerEntrypoint } from "cloudflare:workers";
export class Named extends WorkerEntrypoint { twice(x) { console.log("twice", x); return 2 * x; } }
export default class extends WorkerEntrypoint { thrice(x) { return 3 * x; } }`;
const CALLER = `export default { async fetch(request, env) { return Response.json([await env.NAMED.twice(7), await env.CALLEE.thrice(7)]); } };`;

type Event = {
  readonly wallTime: number;
  readonly cpuTime: number;
  readonly outcome: string;
  readonly scriptName: string;
  readonly logs: readonly { readonly message: readonly unknown[]; readonly level: string }[];
  readonly exceptions: readonly { readonly name: string; readonly message: string }[];
  readonly event: {
    readonly request: { readonly url: string; readonly method: string };
    readonly response?: { readonly status: number };
  } | null;
};

describe("wrangler tail", () => {
  let installation: Installation;
  let agent: Agent;
  let host: string;

  before(async () => {
    installation = await startInstallation();
    agent = await startAgent(installation.api);
    agent.write("index.js", CODE);
    agent.write("wrangler.json", JSON.stringify({ name: "tailed", main: "index.js", compatibility_date: "2026-06-01", workers_dev: true }));
    const deployed = await agent.wrangler(["deploy", "--temporary"]);
    assert.equal(deployed.code, 0, deployed.output);
    host = agent.target();
  });
  after(async () => {
    await agent[Symbol.asyncDispose]();
    await installation[Symbol.asyncDispose]();
  });

  const ask = (path: string, headers: Record<string, string> = {}) => installation.edge(host, path, headers);
  const tails = async (worker = "tailed"): Promise<{ state: string }[]> => {
    const { id, apiToken } = agent.account();
    const path = `/accounts/${id}/workers/scripts/${worker}/tails`;
    const answer = await fetch(installation.api + path, { headers: { authorization: `Bearer ${apiToken}` } });
    return ((await answer.json()) as { result: { state: string }[] }).result;
  };
  /** Starts a tail and waits until it is connected. */
  const tail = (...args: string[]): Promise<Running> => tailOf("tailed", ...args);
  const tailOf = async (worker: string, ...args: string[]): Promise<Running> => {
    const before = (await tails(worker)).filter(({ state }) => state === "open").length;
    const running = agent.start(["tail", worker, "--temporary", ...args]);
    await awaitUntil(async () => (await tails(worker)).filter(({ state }) => state === "open").length > before, {
      what: `the tail is connected:\n${running.output()}`,
      deadlineMs: 30_000,
    }).catch((cause: unknown) => {
      throw new Error(running.output(), { cause });
    });
    return running;
  };
  const interrupted = async (running: Running): Promise<string> => {
    running.interrupt();
    const { code, output } = await running.ended;
    assert.equal(code, 0, output);
    return output;
  };
  /** What `--format json` printed: objects one after another, indented. */
  const eventsOf = (output: string): Event[] => {
    const found: Event[] = [];
    for (const match of output.matchAll(/^\{$[\s\S]*?^\}$/gm)) found.push(JSON.parse(match[0]) as Event);
    return found;
  };
  const paths = (output: string): string[] => eventsOf(output).map(({ event }) => new URL(event?.request.url ?? "x:").pathname);

  test("prints requests, console lines and exceptions, and ends well on SIGINT", async () => {
    const pretty = await tail("--format", "pretty");
    const json = await tail("--format", "json");
    await ask("/hello");
    await ask("/throw");
    const both = (text: string) => () => pretty.output().includes(text) && json.output().includes(text);
    await awaitUntil(both("thrown at /throw"), { what: "the exception arrives" });
    const [printed, objects] = [await interrupted(pretty), await interrupted(json)];
    assert.match(printed, /Connected to tailed, waiting for logs/);
    assert.match(printed, /GET http:\/\/\S+\/hello - Ok @/);
    assert.match(printed, /\(log\) said/);
    assert.match(printed, /GET http:\/\/\S+\/throw - Exception Thrown @/);
    assert.match(printed, /TypeError: thrown at \/throw/);
    const [hello, thrown] = eventsOf(objects);
    assert.deepEqual(
      [hello?.outcome, hello?.scriptName, hello?.event?.request.method, hello?.event?.response?.status],
      ["ok", "tailed", "GET", 200],
    );
    for (const { wallTime, cpuTime } of eventsOf(objects)) assert.ok(Number.isInteger(wallTime) && Number.isInteger(cpuTime));
    assert.deepEqual(hello?.logs[0]?.message, ["said", { path: "/hello" }, 7]);
    assert.deepEqual(
      [thrown?.outcome, thrown?.exceptions[0]?.name, thrown?.exceptions[0]?.message],
      ["exception", "TypeError", "thrown at /throw"],
    );
    await awaitUntil(async () => (await tails()).length === 0, { what: "nothing is left of them" });
  });

  const filters: [args: readonly string[], want: readonly string[]][] = [
    [["--status", "error"], ["/throw"]],
    [
      ["--status", "ok", "--method", "GET"],
      ["/hello", "/warn", "/header"],
    ],
    [["--method", "POST"], []],
    [["--header", "x-wanted:yes"], ["/header"]],
    [["--header", "x-wanted"], ["/header"]],
    [["--search", "careful"], ["/warn"]],
    [
      ["--ip", "self"],
      ["/hello", "/throw", "/warn", "/header"],
    ],
    [["--ip", "203.0.113.9"], []],
    [["--sampling-rate", "0.000001"], []],
    [
      ["--sampling-rate", "0.999999"],
      ["/hello", "/throw", "/warn", "/header"],
    ],
    [["--version-id", "00000000-0000-4000-8000-000000000000"], []],
  ];
  for (const [args, want] of filters) {
    test(`${args.join(" ")} lets through ${want.join(" ") || "nothing"}`, async () => {
      const all = await tail("--format", "json");
      const running = await tail("--format", "json", ...args);
      for (const path of ["/hello", "/throw", "/warn"]) await ask(path);
      await ask("/header", { "x-wanted": "yes, it is" });
      await awaitUntil(() => eventsOf(all.output()).length === 4 && eventsOf(running.output()).length >= want.length, {
        what: "the events arrive",
      }).catch(() => undefined);
      // What is to be held back would have come by now.
      await sleep(300);
      const [everything, some] = [await interrupted(all), await interrupted(running)];
      assert.deepEqual(paths(everything).toSorted(), ["/header", "/hello", "/throw", "/warn"]);
      assert.deepEqual(paths(some).toSorted(), want.toSorted());
    });
  }

  for (const wing of ["control", "host"] as const) {
    test(`goes on by itself after ${wing} was killed`, async () => {
      const running = await tail("--format", "json");
      await installation.killWings(wing);
      await awaitUntil(
        async () => {
          await ask(`/after-${wing}`);
          return running.output().includes(`/after-${wing}`);
        },
        { what: "an event arrives", deadlineMs: 40_000, everyMs: 500 },
      ).catch((cause: unknown) => {
        throw new Error(running.output(), { cause });
      });
      await interrupted(running);
    });
  }

  test("prints calls between Workers with what was called", async () => {
    const deploy = async (name: string, code: string, more: object): Promise<void> => {
      agent.write(`${name}.js`, code);
      const config = { name, main: `${name}.js`, compatibility_date: "2026-06-01", workers_dev: true, ...more };
      agent.write(`${name}.json`, JSON.stringify(config));
      const deployed = await agent.wrangler(["deploy", "--temporary", "--config", `${name}.json`]);
      assert.equal(deployed.code, 0, deployed.output);
    };
    await deploy("callee", CALLEE, {});
    const services = [
      { binding: "CALLEE", service: "callee" },
      { binding: "NAMED", service: "callee", entrypoint: "Named" },
    ];
    await deploy("caller", CALLER, { services });
    const [pretty, json] = [await tailOf("callee", "--format", "pretty"), await tailOf("callee", "--format", "json")];
    const answer = await installation.edge(agent.target(), "/");
    assert.equal(answer.body, "[14,21]");
    await awaitUntil(() => /thrice/.test(pretty.output()) && /thrice/.test(json.output()), { what: "both calls" });
    const [printed, objects] = [await interrupted(pretty), await interrupted(json)];
    assert.match(printed, /^Named\.twice - Ok @ .*\n {2}\(log\) twice 7$/m);
    assert.match(printed, /^default\.thrice - Ok @/m);
    for (const { wallTime, cpuTime } of eventsOf(objects)) assert.ok(Number.isInteger(wallTime) && Number.isInteger(cpuTime));
  });

  test("of a Worker that is not there says so", async () => {
    const { code, output } = await agent.wrangler(["tail", "nobody", "--temporary"]);
    assert.equal(code, 1);
    assert.match(output, /10007/);
  });

  test("shows the same in what is kept, and ends well when its account does", async () => {
    const { id, apiToken } = agent.account();
    const headers = { authorization: `Bearer ${apiToken}` };
    const get = async <T>(path: string): Promise<T> =>
      ((await (await fetch(`${installation.api}/accounts/${id}/${path}`, { headers })).json()) as { result: T }).result;
    const running = await tail("--format", "json");
    await ask("/throw-last");
    await awaitUntil(() => running.output().includes("/throw-last"), { what: "the event arrives" });
    const kept = await awaitUntil(
      async () => {
        const found = await get<{ kind: string; message?: string }[]>("logs?kind=exception&text=THROW-last&worker=tailed");
        return found.length > 0 && found;
      },
      { what: "the exception is kept" },
    );
    assert.equal(kept[0]?.message, "thrown at /throw-last");
    const minutes = await get<{ workers: { worker: string; minutes: { requests: number; errors: number }[] }[] }>("metrics");
    const ours = minutes.workers.find(({ worker }) => worker === "tailed");
    assert.ok(ours && ours.minutes.some(({ requests, errors }) => requests > 0 && errors > 0), JSON.stringify(minutes));
    await fetch(`${installation.api}/accounts/${id}`, { method: "DELETE", headers });
    const { code, output } = await running.ended;
    assert.equal(code, 0, output);
  });
});
