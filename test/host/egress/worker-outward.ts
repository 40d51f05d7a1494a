// A Worker that goes out in every way there is, and tells what came of it.

export const WORKER = `
import { connect } from "cloudflare:sockets";

const told = (work) => work.catch((error) => new Response("threw " + error.message, { status: 599 }));

async function taken(readable) {
  let bytes = 0;
  try {
    for await (const chunk of readable) bytes += chunk.byteLength;
    return { bytes, cut: null };
  } catch (error) { return { bytes, cut: error.message }; }
}

const ways = {
  "/leaf": ({ request }) => Response.json(Object.fromEntries(request.headers)),
  "/fetch": async ({ request, to }) => {
    const response = await fetch(to, { method: request.method, headers: { "CF-Worker": "forged", "X-Mine": "1" }, body: request.body });
    return new Response(response.body, { status: response.status === 101 ? 500 : response.status });
  },
  /** Sends as many bytes; twenty times, as answers that come while a body is being sent are easily lost. */
  "/upload": async ({ to, bytes }) => {
    const came = [];
    for (let i = 0; i < 20; i++) {
      const { readable, writable } = new TransformStream();
      const sent = (async () => {
        const writer = writable.getWriter();
        for (let left = Number(bytes); left > 0; left -= 65_536) await writer.write(new Uint8Array(Math.min(left, 65_536)));
        await writer.close();
      })().catch(() => {});
      came.push(await fetch(to, { method: "POST", body: readable }).then(async (answer) => answer.status + " " + (await answer.text()), (error) => "threw " + error.message));
      await sent;
    }
    return Response.json(came);
  },
  /** Many at once; the answers' status and how much of their bodies came. */
  "/fetches": async ({ request }) =>
    Response.json(await Promise.all((await request.json()).map((to) =>
      fetch(to).then(async ({ status, body }) => ({ status, ...(await taken(body)) }), (error) => ({ status: 0, bytes: 0, cut: error.message }))))),
  "/connect": async ({ to, say }) => {
    const socket = connect(to);
    const writer = socket.writable.getWriter();
    await writer.write(new TextEncoder().encode(say ?? "ping"));
    if (say === "flood") return Response.json(await taken(socket.readable));
    const { value } = await socket.readable.getReader().read();
    return new Response(value);
  },
  /** Writes until it may no more. */
  "/pour": async ({ to }) => {
    const socket = connect(to);
    await socket.opened;
    const writer = socket.writable.getWriter();
    const chunk = new Uint8Array(16_384);
    try { for (let i = 0; i < 1_000; i++) { await writer.write(chunk); await scheduler.wait(1); } } catch (error) { return new Response("cut"); }
    return new Response("poured");
  },
  /** Opens many and holds them until all are told of. */
  "/tunnels": async ({ to, n }) => {
    const sockets = Array.from({ length: Number(n) }, () => connect(to));
    const came = await Promise.all(sockets.map((socket) => socket.opened.then(() => "opened", (error) => "rejected: " + error.message)));
    await Promise.allSettled(sockets.map((socket) => socket.close()));
    return Response.json(came);
  },
  /** fetch() and connect() to each host. */
  "/tries": async ({ request }) => {
    const came = [];
    for (const host of await request.json()) {
      const fetched = await fetch("http://" + host + "/").then(async (answer) => answer.status + " " + (await answer.text()), (error) => "threw " + error.message);
      let connected;
      try {
        const socket = connect(host + ":80");
        connected = await socket.opened.then(() => "opened", () => "rejected");
        await socket.close().catch(() => {});
      } catch (error) { connected = "threw"; }
      came.push({ host, fetched, connected });
    }
    return Response.json(came);
  },
  "/socket": () => {
    const [client, server] = Object.values(new WebSocketPair());
    server.accept();
    server.addEventListener("message", (event) => {
      if (event.data === "flood") { for (let i = 0; i < 64; i++) server.send("x".repeat(16_384)); return; }
      server.send(event.data);
      server.close(1000);
    });
    return new Response(null, { status: 101, webSocket: client });
  },
  "/ws": async ({ to, say }) => {
    const { status, webSocket } = await fetch(to, { headers: { Upgrade: "websocket" } });
    if (webSocket === null) return new Response("status " + status);
    let bytes = 0;
    const closed = new Promise((resolve) => { webSocket.addEventListener("close", resolve); webSocket.addEventListener("error", resolve); });
    const first = new Promise((resolve) => webSocket.addEventListener("message", ({ data }) => { bytes += data.length; resolve("echo " + data); }));
    webSocket.accept();
    webSocket.send(say ?? "over");
    if (say !== "flood") return new Response(await first);
    await closed;
    return Response.json({ bytes });
  },
  "/loop": ({ request }) => fetch(request.url),
};

export default {
  fetch(request) {
    const url = new URL(request.url);
    const way = ways[url.pathname];
    if (way === undefined) return new Response("not found", { status: 404 });
    return told((async () => way({ request, ...Object.fromEntries(url.searchParams) }))());
  },
};
`;
