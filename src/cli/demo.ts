// `npm run demo`: an installation of its own in a temporary directory, the real wrangler, one account that a person
// claims and one that nobody does; every step is printed as it happens.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Command } from "./command.ts";
import { findWrangler } from "./find-wrangler.ts";

const LIFE_SECONDS = 8;
const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const indent = (output: string): string =>
  output
    .trim()
    .split("\n")
    .map((line) => `    ${line}`)
    .join("\n");

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => void server.close(resolve));
  return port;
}

type Place = { readonly root: string; readonly origin: string; readonly edgePort: number };

/** Starts the installation and waits for its last line. */
async function startServer(root: string): Promise<Place & { readonly child: ChildProcess }> {
  const [port, edgePort] = [await freePort(), await freePort()];
  const child = spawn(process.execPath, [MAIN], {
    env: {
      ...process.env,
      MAYFLY_PORT: String(port),
      MAYFLY_EDGE_PORT: String(edgePort),
      MAYFLY_DATA: join(root, "data"),
      MAYFLY_POW_HASHES: "100000",
      MAYFLY_LOG_LEVEL: "fatal",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise<void>((resolve, reject) => {
    let printed = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      printed += chunk;
      if (printed.includes("Mayfly is ready.")) resolve();
    });
    child.once("exit", () => reject(new Error("the server did not start")));
  });
  return { root, origin: `http://localhost:${port}`, edgePort, child };
}

type Ran = { readonly output: string; readonly host: string };

/** Runs wrangler as an agent does. @param headers sent with every API call, the account's life and task among them */
async function wrangler(place: Place, home: string, args: readonly string[], more: Record<string, string>): Promise<Ran> {
  const found = findWrangler(place.root, process.env["PATH"] ?? "");
  if (found === undefined) throw new Error("no wrangler was found; `npm ci` installs one beside Mayfly");
  const results = join(place.root, `${home}.ndjson`);
  const project = join(place.root, "project");
  const environment = {
    PATH: process.env["PATH"],
    HOME: join(place.root, home),
    CI: "1",
    NO_COLOR: "1",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_OUTPUT_FILE_PATH: results,
    CLOUDFLARE_API_BASE_URL: `${place.origin}/client/v4`,
    ...more,
  };
  const [program, first] = found.kind === "script" ? [process.execPath, [found.path]] : [found.path, []];
  const child = spawn(program, [...first, ...args], { cwd: project, env: environment, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => void child.once("close", resolve)),
  ]);
  if (code !== 0) throw new Error(`wrangler ${args.join(" ")} failed:\n${out}${err}`);
  const lines = readFileSync(results, "utf8").trim().split("\n");
  const deployed = lines.map((line) => JSON.parse(line) as { targets?: string[] }).findLast(({ targets }) => targets);
  return { output: err + out, host: (deployed?.targets?.[0] ?? "").replace(/^https?:\/\//, "") };
}

/** One GET at the edge; the Host header names the Worker, since not every resolver knows *.localhost. */
function visit(place: Place, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port: place.edgePort, headers: { host, accept: "text/plain" }, agent: false }, (answer) => {
      text(answer).then((body) => resolve(`${answer.statusCode} ${body.trim().split("\n")[0]}`), reject);
    })
      .once("error", reject)
      .end();
  });
}

/** A person's browser, as far as forms and cookies go. */
function browser(origin: string) {
  const cookies = new Map<string, string>();
  return async (path: string, form?: Record<string, string>): Promise<string> => {
    const answer = await fetch(`${origin}${path}`, {
      method: form ? "POST" : "GET",
      redirect: "manual",
      headers: { origin, cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(form && { body: new URLSearchParams(form) }),
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [pair = ""] = cookie.split(";");
      cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
    }
    return answer.text();
  };
}

async function claim(place: Place, link: string): Promise<string> {
  const open = browser(place.origin);
  await open("/claim/open", { link });
  await open("/claim/sign-up", { name: "Ada", email: "ada@example.com", password: "a long demonstration" });
  const page = await open("/claim/account");
  const account = /name="account" value="([0-9a-f]{32})"/.exec(page)?.[1] ?? "";
  const done = await open("/claim/confirm", { account });
  const token = /mft_[0-9a-z]{57}/.exec(done)?.[0];
  if (token === undefined) throw new Error("the claim page showed no token");
  return token;
}

const worker = (line: string): string => `export default { fetch: () => new Response(${JSON.stringify(line)}) };\n`;

async function claimedStory(place: Place): Promise<void> {
  const edit = (line: string): void => writeFileSync(join(place.root, "project/index.js"), worker(line));
  say("1. An agent without any account deploys: wrangler deploy --temporary");
  edit("hello from an agent");
  const first = await wrangler(place, "agent", ["deploy", "--temporary"], {});
  say(indent(first.output));
  say(`   GET ${first.host} → ${await visit(place, first.host)}`);

  say("2. It changes the code and deploys again, to the same URL");
  edit("hello again");
  await wrangler(place, "agent", ["deploy", "--temporary"], {});
  say(`   GET ${first.host} → ${await visit(place, first.host)}`);

  say("3. A person opens the claim link, signs up and claims");
  const link = /Claim URL: (\S+)/.exec(first.output)?.[1] ?? "";
  const token = await claim(place, link);
  say(`   claimed; GET ${first.host} → ${await visit(place, first.host)}`);

  say("4. The person deploys with a token of their own; the agent's is dead");
  edit("hello from Ada");
  await wrangler(place, "person", ["deploy"], { CLOUDFLARE_API_TOKEN: token });
  say(`   GET ${first.host} → ${await visit(place, first.host)}`);
  const refused = await wrangler(place, "agent", ["deploy", "--temporary"], {}).then(
    () => "the agent's token still works: that is a bug",
    (error: Error) => error.message.split("\n").find((line) => /claimed/.test(line)) ?? error.message,
  );
  say(`   the agent: ${refused.trim()}`);
}

async function unclaimedStory(place: Place): Promise<void> {
  say(`5. Another agent asks for a life of ${LIFE_SECONDS} seconds, and nobody claims its account`);
  const headers = JSON.stringify({ "Mayfly-Lifetime": String(LIFE_SECONDS), "Mayfly-Task": '{"title":"demo","agent":"npm run demo"}' });
  const startedAt = Date.now();
  const second = await wrangler(place, "other", ["deploy", "--temporary"], { CLOUDFLARE_API_HEADERS: headers });
  say(`   GET ${second.host} → ${await visit(place, second.host)}`);
  await sleep(Math.max(0, startedAt + (LIFE_SECONDS + 3) * 1000 - Date.now()));
  say(`   ${LIFE_SECONDS} seconds later: GET ${second.host} → ${await visit(place, second.host)}`);
}

export const demo: Command = {
  name: "demo",
  summary: "play the whole loop in a temporary directory and print each step",
  run: async () => {
    const root = mkdtempSync(join(tmpdir(), "mayfly-demo-"));
    for (const folder of ["project", "agent", "person", "other"]) mkdirSync(join(root, folder));
    writeFileSync(
      join(root, "project/wrangler.jsonc"),
      JSON.stringify({ name: "demo", main: "index.js", compatibility_date: "2026-06-01" }),
    );
    const place = await startServer(root);
    try {
      say(`A Mayfly of its own runs at ${place.origin}.`);
      await claimedStory(place);
      await unclaimedStory(place);
      say("That was the whole loop.");
      return 0;
    } catch (error) {
      console.error((error as Error).message);
      return 1;
    } finally {
      place.child.kill("SIGTERM");
      await new Promise((resolve) => void place.child.once("exit", resolve));
      rmSync(root, { recursive: true, force: true });
    }
  },
};
