// A client that keeps some connections busy and prints {requests, perSecond, p50Ms}: node load-client.ts <port> <host> <connections> <seconds> <path>.
// It reads no more of HTTP than it needs: answers with a Content-Length, one at a time on each connection.
import { connect } from "node:net";
import { median } from "./report.ts";

const [port = "", host = "", connections = "1", seconds = "1", path = "/"] = process.argv.slice(2);
const message = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const times: number[] = [];
const until = performance.now() + Number(seconds) * 1000;

/** Whether the text is one whole answer. @throws Error for one that is not 2xx or has no length */
function whole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = /^content-length: (\d+)\r?$/im.exec(text)?.[1];
  if (!text.startsWith("HTTP/1.1 2") || length === undefined) throw new Error(text);
  return text.length >= end + 4 + Number(length);
}

function keepBusy(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), "127.0.0.1").setNoDelay(true).setEncoding("latin1");
    let sentMs = 0;
    let got = "";
    const send = (): void => {
      got = "";
      sentMs = performance.now();
      socket.write(message);
    };
    socket.once("connect", send).once("error", reject);
    socket.on("data", (chunk) => {
      got += String(chunk);
      if (!whole(got)) return;
      const nowMs = performance.now();
      times.push(nowMs - sentMs);
      if (nowMs < until) return send();
      socket.destroy();
      resolve();
    });
  });
}

const startedMs = performance.now();
await Promise.all(Array.from({ length: Number(connections) }, keepBusy));
const elapsedSeconds = (performance.now() - startedMs) / 1000;
process.stdout.write(JSON.stringify({ requests: times.length, perSecond: times.length / elapsedSeconds, p50Ms: median(times) }));
