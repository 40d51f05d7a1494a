// What the pinned workerd sends out, and what it takes from a request's headers.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import type { WorkerdConfig } from "../../src/host/capsules/workerd/workerd-config.ts";
import { get, internet, run, serve, shortDirectory, worker } from "../fixtures/workerd.ts";

async function egress(t: TestContext, socket: string) {
  const seen: { method: string; url: string; headers: IncomingMessage["headers"] }[] = [];
  const server = createServer({ requireHostHeader: false }, (incoming, outgoing) => {
    seen.push({ method: incoming.method ?? "", url: incoming.url ?? "", headers: incoming.headers });
    if (incoming.url?.endsWith("/redirect")) outgoing.writeHead(302, { location: "http://other.example/" }).end();
    else outgoing.end("answer");
  });
  server.on("connect", (incoming, connection) => {
    seen.push({ method: incoming.method ?? "", url: incoming.url ?? "", headers: incoming.headers });
    connection.write("HTTP/1.1 200 OK\r\n\r\n");
    connection.pipe(connection);
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return seen;
}

const through = (directory: string, source: string, http = {}): WorkerdConfig => ({
  services: [
    worker("main", source, { globalOutbound: { name: "egress" } }),
    { name: "egress", external: { address: `unix:${directory}/egress.sock`, http: { style: "proxy" } } },
    internet,
  ],
  sockets: [{ name: "in", address: `unix:${directory}/in.sock`, service: { name: "main" }, http }],
});

describe("an external service of style proxy as globalOutbound", () => {
  test("fetch arrives in absolute form, plain, whatever the scheme, without Host", async (t) => {
    const directory = await shortDirectory(t);
    const seen = await egress(t, join(directory, "egress.sock"));
    await serve(t, through(directory, `export default { async fetch() { return fetch("https://example.com/x?y") } }`));
    assert.equal((await get(join(directory, "in.sock"), "/")).body, "answer");
    assert.deepEqual([seen[0]?.method, seen[0]?.url, seen[0]?.headers.host], ["GET", "https://example.com/x?y", undefined]);
  });

  test("redirects are followed by workerd itself, so each hop passes egress", async (t) => {
    const directory = await shortDirectory(t);
    const seen = await egress(t, join(directory, "egress.sock"));
    await serve(t, through(directory, `export default { async fetch() { return fetch("https://example.com/redirect") } }`));
    assert.equal((await get(join(directory, "in.sock"), "/")).body, "answer");
    assert.deepEqual(
      seen.map((one) => one.url),
      ["https://example.com/redirect", "http://other.example/"],
    );
  });

  test("connect() arrives as CONNECT", async (t) => {
    const directory = await shortDirectory(t);
    const seen = await egress(t, join(directory, "egress.sock"));
    const source = `import { connect } from "cloudflare:sockets";
      export default { async fetch() {
        const socket = connect("db.example:5432"); const writer = socket.writable.getWriter();
        await writer.write(new TextEncoder().encode("echo"));
        const { value } = await socket.readable.getReader().read();
        return new Response(value) } }`;
    await serve(t, through(directory, source));
    assert.equal((await get(join(directory, "in.sock"), "/")).body, "echo");
    assert.deepEqual([seen[0]?.method, seen[0]?.url], ["CONNECT", "db.example:5432"]);
  });

  test("nothing of the request that caused it is passed on", async (t) => {
    const directory = await shortDirectory(t);
    const seen = await egress(t, join(directory, "egress.sock"));
    await serve(t, through(directory, `export default { async fetch() { return fetch("http://example.com/") } }`));
    await get(join(directory, "in.sock"), "/", { "cf-ray": "abc", "x-mine": "1" });
    assert.deepEqual(
      Object.keys(seen[0]?.headers ?? {}).filter((name) => name !== "connection"),
      [],
    );
  });
});

describe("a network service without addresses", () => {
  test("refuses every address, the loopback and the public alike", () => {
    const source = `export default { async test() {
      for (const url of ["http://127.0.0.1:1/", "http://192.0.2.1/"])
        console.log(await fetch(url, { signal: AbortSignal.timeout(2000) }).then(() => "out", (error) => error.name)) } }`;
    const { stdout } = run(["test", "--experimental", "--binary", "-", "main"], { services: [worker("main", source), internet] });
    assert.doesNotMatch(stdout, /out/);
  });
});

describe("http options of a socket", () => {
  const source = `export default { fetch(request) { return Response.json([request.url, request.cf ?? null, request.headers.has("the-cf")]) } }`;

  test("cfBlobHeader becomes request.cf and is taken off; without the header there is none", async (t) => {
    const directory = await shortDirectory(t);
    await serve(t, through(directory, source, { cfBlobHeader: "the-cf" }));
    const socket = join(directory, "in.sock");
    assert.deepEqual(JSON.parse((await get(socket, "/", { "the-cf": '{"colo":"X"}' })).body).slice(1), [{ colo: "X" }, false]);
    assert.deepEqual(JSON.parse((await get(socket, "/")).body).slice(1), [null, false]);
  });

  test("forwardedProtoHeader sets the scheme of the URL", async (t) => {
    const directory = await shortDirectory(t);
    await serve(t, through(directory, source, { forwardedProtoHeader: "x-forwarded-proto" }));
    const [url] = JSON.parse((await get(join(directory, "in.sock"), "/", { "x-forwarded-proto": "https" })).body) as [string];
    assert.equal(url, "https://tenant.example/");
  });
});
