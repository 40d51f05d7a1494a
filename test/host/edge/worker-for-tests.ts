// The Worker that the edge's tests call: it tells what it was asked and misbehaves on request.
export const WORKER = `
let count = 0;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export default {
  async fetch(request) {
    const url = new URL(request.url);
    count += 1;
    switch (url.pathname) {
      case "/echo":
        return Response.json({ url: request.url, method: request.method, cf: request.cf, headers: Object.fromEntries(request.headers), body: await request.text(), count });
      case "/hello": return new Response("hello");
      case "/cookies": {
        const headers = new Headers({ Server: "mine", "CF-Ray": "forged", "X-Kept": "yes" });
        for (const cookie of url.searchParams.getAll("c")) headers.append("Set-Cookie", cookie);
        return new Response("ok", { headers });
      }
      case "/events": {
        const { readable, writable } = new TransformStream();
        const writer = writable.getWriter();
        const encoder = new TextEncoder();
        (async () => { for (let i = 0; ; i++) { await writer.write(encoder.encode("data: " + i + "\\n\\n")); await wait(100); } })().catch(() => {});
        return new Response(readable, { headers: { "Content-Type": "text/event-stream" } });
      }
      case "/silent-stream": {
        const { readable, writable } = new TransformStream();
        globalThis.kept = writable.getWriter();
        return new Response(readable, { headers: { "Content-Type": "text/event-stream" } });
      }
      case "/length": {
        let bytes = 0;
        for await (const chunk of request.body ?? []) bytes += chunk.byteLength;
        return new Response(String(bytes));
      }
      case "/mirror": return new Response(request.body);
      case "/large": {
        const chunk = new Uint8Array(65536);
        let left = Number(url.searchParams.get("chunks"));
        return new Response(new ReadableStream({ pull(c) { if (left-- > 0) c.enqueue(chunk); else c.close(); } }));
      }
      case "/slow": await wait(Number(url.searchParams.get("ms"))); return new Response("slow");
      case "/status": return new Response(null, { status: Number(url.searchParams.get("s")) });
      case "/count": return new Response(String(count));
      case "/socket": {
        if (request.headers.get("Upgrade") !== "websocket") return new Response("no upgrade", { status: 426 });
        const [client, server] = Object.values(new WebSocketPair());
        server.accept();
        server.addEventListener("message", (event) => server.send(event.data));
        server.addEventListener("close", (event) => server.close(event.code));
        return new Response(null, { status: 101, webSocket: client });
      }
    }
    return new Response("not found", { status: 404 });
  },
};
`;
