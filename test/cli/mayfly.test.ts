// The `mayfly` command as a caller meets it: run from their folder, under whatever Node they have.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { describe, test } from "node:test";
import { SETTINGS } from "../../src/config.ts";
import { serverOrigin } from "../../src/cli/wrangler.ts";
import { configurationHome } from "../../src/kernel/agent-lines.ts";
import { findWrangler } from "../../src/cli/find-wrangler.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const BIN = join(import.meta.dirname, "../../bin/mayfly.js");
const WRANGLER = join(import.meta.dirname, "../../node_modules/wrangler");

type Result = { readonly code: number; readonly stdout: string; readonly stderr: string };

function mayfly(args: readonly string[], options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {}): Promise<Result> {
  const env = { ...process.env, ...options.env };
  return new Promise((resolve) => {
    execFile(process.execPath, [BIN, ...args], { timeout: 120_000, ...options, env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, stdout, stderr });
    });
  });
}

/** A project whose wrangler is the small program `source`. */
async function projectWith(folder: string, source: string): Promise<void> {
  const wrangler = join(folder, "node_modules/wrangler");
  await mkdir(join(wrangler, "bin"), { recursive: true });
  await writeFile(join(wrangler, "package.json"), JSON.stringify({ name: "wrangler", bin: { wrangler: "./bin/wrangler.js" } }));
  await writeFile(join(wrangler, "bin/wrangler.js"), source);
}

describe("mayfly", () => {
  test("help lists every command, and an unknown one is named", async () => {
    const help = await mayfly(["help"]);
    for (const command of ["start", "wrangler", "settings", "help"]) assert.match(help.stdout, new RegExp(`^  ${command} `, "m"));
    const unknown = await mayfly(["deploy"]);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /no command "deploy"/);
  });

  test("settings prints every setting with its default", async () => {
    const { stdout } = await mayfly(["settings"]);
    for (const { name, fallback } of Object.values(SETTINGS)) {
      assert.ok(stdout.split("\n").includes(fallback === "" ? name : `${name}=${fallback}`), name);
    }
  });

  test("wrangler runs under Node 24 in the caller's folder, with the server's address and a home of its own", async () => {
    await using folder = await temporaryDirectory("cli");
    const report = "({ args: process.argv.slice(2), cwd: process.cwd(), env: process.env, node: process.version })";
    await projectWith(folder.path, `console.log(JSON.stringify(${report})); process.exitCode = 7;`);
    const env = { HOME: folder.path, MAYFLY_URL: "http://localhost:9123/" };
    const { code, stdout } = await mayfly(["wrangler", "deploy", "--temporary", "a b"], { cwd: folder.path, env });
    assert.equal(code, 7);
    const seen = JSON.parse(stdout) as { args: string[]; cwd: string; env: Record<string, string>; node: string };
    assert.deepEqual(seen.args, ["deploy", "--temporary", "a b"]);
    assert.equal(seen.cwd, folder.path);
    assert.match(seen.node, /^v24\./);
    assert.equal(seen.env["CLOUDFLARE_API_BASE_URL"], "http://localhost:9123/client/v4");
    const home = seen.env["XDG_CONFIG_HOME"] ?? "";
    assert.match(home, /\/\.config\/mayfly\/[0-9a-f]{8}$/);
    assert.equal((await stat(home)).mode & 0o777, 0o700);
  });

  test("two servers never share a home", () => {
    assert.notEqual(
      configurationHome("/h", serverOrigin("http://localhost:1")),
      configurationHome("/h", serverOrigin("http://localhost:2")),
    );
    assert.equal(serverOrigin(undefined), "http://localhost:8787");
    assert.throws(() => serverOrigin("localhost:8787"), /MAYFLY_URL must be an origin/);
  });

  test("the caller's wrangler goes before the PATH's, the PATH's before ours", async () => {
    await using folder = await temporaryDirectory("cli");
    const path = join(folder.path, "path");
    await mkdir(path);
    assert.match(findWrangler(folder.path, path)?.path ?? "none", /node_modules\/wrangler\//);
    await writeFile(join(path, "wrangler"), "#!/bin/sh\n", { mode: 0o755 });
    assert.deepEqual(findWrangler(folder.path, path), { kind: "program", path: join(path, "wrangler") });
    await projectWith(folder.path, "");
    const own = { kind: "script", path: join(folder.path, "node_modules/wrangler/bin/wrangler.js") };
    assert.deepEqual(findWrangler(folder.path, path), own);
  });

  test("a signal reaches the program at the end of the chain, whose exit code comes back", async () => {
    await using folder = await temporaryDirectory("cli");
    await projectWith(folder.path, `process.on("SIGTERM", () => process.exit(5)); console.log("ready"); setInterval(() => {}, 1000);`);
    const env = { ...process.env, HOME: folder.path };
    const child = spawn(process.execPath, [BIN, "wrangler"], { cwd: folder.path, env, stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    assert.deepEqual(await once(child, "exit"), [5, null]);
  });

  test("the real wrangler reaches a server on localhost, and leaves nothing in the caller's own configuration", async () => {
    await using folder = await temporaryDirectory("cli");
    await mkdir(join(folder.path, "node_modules"));
    await symlink(WRANGLER, join(folder.path, "node_modules/wrangler"));
    await writeFile(join(folder.path, "worker.js"), "export default { fetch: () => new Response('hi') };");
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.writeHead(503).end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address !== "string");
    const env = { HOME: folder.path, MAYFLY_URL: `http://localhost:${address.port}`, CI: "1", WRANGLER_SEND_METRICS: "false" };
    const args = ["deploy", "worker.js", "--temporary", "--name", "hi", "--compatibility-date", "2026-06-01"];
    const { code, stdout, stderr } = await mayfly(["wrangler", ...args], { cwd: folder.path, env });
    server.close();
    server.closeAllConnections();
    assert.notEqual(code, 0);
    assert.ok(
      asked.some((line) => line.startsWith("POST /client/v4/provisioning/previews/challenge")),
      `${asked.join("\n")}\n${stdout}\n${stderr}`,
    );
    assert.deepEqual(await readdir(join(folder.path, ".config")), ["mayfly"]);
  });
});
