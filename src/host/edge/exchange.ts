// One request on its way through a Worker: held until the capsule is hot, sent, answered, its lease given back
// exactly once. It is sent again only where it certainly did not reach the Worker the first time.
import { request, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Log } from "../../kernel/log.ts";
import type { Answerer, Capsules, Concern, Lease, Passed } from "../contract.ts";
import { onAbort } from "./cut.ts";
import { responseHeaders } from "./headers.ts";
import { endOnceRead } from "./linger.ts";
import { pages, sendPage, type Page } from "./pages.ts";
import { joinSockets } from "./tunnel.ts";

/** How a request ended, for metrics: the Worker's answer, the edge's own, or no answer. */
export type Outcome = "proxied" | "page" | "cut" | "upgraded";

export type ExchangeOptions = {
  readonly capsules: Capsules;
  readonly log: Log;
  /** @param status 0 when nothing was sent */
  readonly onDone: (outcome: Outcome, status: number, durationMs: number) => void;
  readonly onRetry: () => void;
  /** Told before `onDone`, of requests to known accounts. */
  readonly onPassed: (passed: Passed) => void;
};

export type Asked = {
  readonly label: string;
  /** Without port, lower case. */
  readonly host: string;
  readonly path: string;
  /** As the Worker sees it. */
  readonly url: string;
  /** Of the caller. */
  readonly address: string;
  readonly ray: string;
  /** Flat and complete but for framing and connection. */
  readonly headers: readonly string[];
  readonly hasBody: boolean;
  readonly upgrade: { readonly socket: Socket; readonly head: Buffer } | null;
};

const MAX_ONE_WRITE_BYTES = 8192;

/** Waits before a Worker that refused the connection is asked for again: its process has just died. */
const REFUSED_WAITS_MS = [0, 50, 200, 500];

export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #asked: Asked;
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #startedAtMs = performance.now();
  #lease: Lease | undefined;
  #forget: (() => void)[] = [];
  #upstream: ClientRequest | undefined;
  #outcome: Outcome = "cut";
  #refusals = 0;
  #resets = 0;
  #bodyStarted = false;
  #answered = false;
  /** Whose request it is, once that is known. */
  #concern: Concern | undefined;
  #cpuMs: number | null = null;
  #end: Passed["end"] = "canceled";
  /** The Worker's response has come to its end, or the edge's own page was sent. */
  #whole = false;
  #over = false;

  constructor(options: ExchangeOptions, asked: Asked, incoming: IncomingMessage, outgoing: ServerResponse) {
    this.#options = options;
    this.#asked = asked;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    outgoing.on("close", () => this.#close());
    outgoing.on("error", () => outgoing.destroy());
  }

  /** Starts the request on its way. */
  start(): void {
    this.#open().catch((error: unknown) => {
      this.#options.log.error({ err: error, ray: this.#asked.ray }, "a request could not be passed on");
      this.#cut();
    });
  }

  async #open(): Promise<void> {
    let answerer: Answerer;
    try {
      answerer = await this.#options.capsules.open(this.#asked.label);
    } catch (error) {
      this.#options.log.error({ err: error, label: this.#asked.label }, "a capsule could not be asked for");
      answerer = { kind: "unavailable", reason: "The Worker could not be started.", retryAfterSeconds: 5 };
    }
    if (this.#over) {
      if (answerer.kind === "lease") answerer.lease[Symbol.dispose]();
      return;
    }
    if (answerer.kind !== "lease" && answerer.kind !== "gone") this.#concern = answerer.concern;
    switch (answerer.kind) {
      case "lease":
        return this.#send(answerer.lease);
      case "gone":
        return this.#page(pages.gone(answerer.tombstone));
      case "suspended":
        return this.#page(pages.suspended(answerer.reason));
      case "none":
        return this.#page(pages.none());
      case "unavailable":
        return this.#page(pages.unavailable(answerer.reason, answerer.retryAfterSeconds));
    }
  }

  #page(page: Page, end: Passed["end"] = "refused"): void {
    this.#outcome = "page";
    this.#end = end;
    this.#answered = true;
    this.#whole = true;
    sendPage(this.#incoming, this.#outgoing, page, this.#asked.ray);
  }

  #send(lease: Lease): void {
    this.#lease = lease;
    this.#concern = lease;
    this.#forget.push(onAbort(lease.ended, () => this.#cut()));
    // A handshake is a request, which a redeploy lets finish; the socket that it makes is cut at once.
    if (this.#asked.upgrade !== null) this.#forget.push(onAbort(lease.replaced, () => this.#outcome === "upgraded" && this.#cut()));
    if (this.#over) return;
    const { path, headers, hasBody, upgrade } = this.#asked;
    const upstream = request({
      // A reset connection was stale, and so may the others of the pool be.
      agent: this.#resets > 0 ? false : lease.agent,
      socketPath: lease.socketPath,
      method: this.#incoming.method,
      path,
      headers,
      setHost: false,
    });
    this.#upstream = upstream;
    upstream.on("response", (response) => this.#answer(response));
    upstream.on("error", (error: NodeJS.ErrnoException) => this.#failed(upstream, error));
    if (upgrade !== null) upstream.on("upgrade", (response, socket, head) => this.#switch(response, socket, head));
    if (hasBody) upstream.once("socket", (socket) => whenConnected(socket, () => this.#pump(upstream)));
    else upstream.end();
  }

  /** Streams the caller's body; from here on the request is never sent again. */
  #pump(upstream: ClientRequest): void {
    if (this.#over || upstream.destroyed) return;
    this.#bodyStarted = true;
    const incoming = this.#incoming;
    if (incoming.headers.expect !== undefined) this.#outgoing.writeContinue();
    upstream.flushHeaders();
    incoming.on("data", (chunk: Buffer) => {
      if (!upstream.destroyed && !upstream.write(chunk)) incoming.pause();
    });
    upstream.on("drain", () => incoming.resume());
    // A Worker that has closed its side must not leave the caller's connection full of unread body.
    upstream.on("close", () => incoming.resume());
    incoming.on("end", () => upstream.end());
  }

  #answer(response: IncomingMessage): void {
    const outgoing = this.#outgoing;
    this.#answered = true;
    this.#outcome = "proxied";
    const { host, ray, hasBody } = this.#asked;
    const headers = responseHeaders(response.rawHeaders, response.headers.connection, host, ray);
    try {
      outgoing.writeHead(response.statusCode ?? 502, response.statusMessage ?? "", headers);
    } catch (error) {
      // A process that has been taken over may write what no header can hold.
      this.#options.log.warn({ err: error, account: this.#lease?.account }, "a Worker's response cannot be passed on");
      this.#cut();
      return;
    }
    const length = Number(response.headers["content-length"]);
    let sent = false;
    response.on("data", (chunk: Buffer) => {
      if (!sent && !hasBody && chunk.length === length && length <= MAX_ONE_WRITE_BYTES) {
        // Node joins a text, but not a buffer, with the head before it: one packet. Latin-1 keeps every byte.
        sent = true;
        outgoing.end(chunk.toString("latin1"), "latin1");
        return;
      }
      sent = true;
      if (!outgoing.write(chunk)) response.pause();
    });
    outgoing.on("drain", () => response.resume());
    response.on("end", () => {
      sent = true;
      this.#whole = true;
      this.#end = "answered";
      if (!outgoing.writableEnded) endOnceRead(this.#incoming, outgoing);
    });
    response.on("error", () => {
      if (!this.#over && !this.#whole) this.#end = "lost";
      outgoing.destroy();
    });
    // Headers usually leave with the first bytes of the body; an event stream may have none for long.
    setImmediate(() => {
      if (!sent && !this.#over) outgoing.flushHeaders();
    });
  }

  #switch(response: IncomingMessage, upstream: Socket, head: Buffer): void {
    const { upgrade, host, ray } = this.#asked;
    if (upgrade === null || this.#over) {
      upstream.destroy();
      return;
    }
    this.#answered = true;
    this.#end = "answered";
    this.#outcome = "upgraded";
    const flat = responseHeaders(response.rawHeaders, undefined, host, ray);
    let text = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`;
    for (let i = 0; i < flat.length; i += 2) text += `${flat[i]}: ${flat[i + 1]}\r\n`;
    this.#outgoing.detachSocket(upgrade.socket);
    // The response object is done with; the socket's end is the exchange's end from now on.
    upgrade.socket.once("close", () => this.#close());
    upgrade.socket.write(`${text}\r\n`, "latin1");
    joinSockets(upgrade.socket, upgrade.head, upstream, head, { halfOpen: false });
    if (this.#lease?.replaced.aborted === true) upgrade.socket.destroySoon();
  }

  #failed(upstream: ClientRequest, error: NodeJS.ErrnoException): void {
    if (this.#over || upstream !== this.#upstream) return;
    if (this.#answered) {
      // Too late to say anything: a body cut short must look like one.
      if (this.#whole) return;
      this.#end = "lost";
      this.#outgoing.destroy();
      return;
    }
    if (error.syscall === "connect" && !this.#bodyStarted && this.#refusals < REFUSED_WAITS_MS.length) {
      this.#again(REFUSED_WAITS_MS[this.#refusals++] ?? 0);
      return;
    }
    const stale = upstream.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
    const repeatable = !this.#asked.hasBody && /^(GET|HEAD)$/.test(this.#incoming.method ?? "");
    if (stale && repeatable && this.#resets === 0) {
      this.#resets += 1;
      this.#again(0);
      return;
    }
    this.#options.log.warn({ err: error, account: this.#lease?.account }, "a Worker's process ended before it answered");
    this.#page(pages.died(), "lost");
  }

  #again(waitMs: number): void {
    this.#release();
    this.#options.onRetry();
    if (waitMs === 0) this.start();
    else setTimeout(() => this.start(), waitMs);
  }

  /** The account ended or its process goes: both sides are closed at once. */
  #cut(): void {
    this.#outcome = "cut";
    this.#end = "lost";
    this.#upstream?.destroy();
    if (this.#asked.upgrade === null) this.#outgoing.destroy();
    else this.#asked.upgrade.socket.destroy();
    this.#close();
  }

  #release(): void {
    const lease = this.#lease;
    this.#lease = undefined;
    for (const forget of this.#forget) forget();
    this.#forget = [];
    lease?.[Symbol.dispose]();
  }

  #close(): void {
    // A response that gave its socket to a WebSocket closes too: not the end of the exchange.
    if (this.#over || (this.#outcome === "upgraded" && this.#asked.upgrade?.socket.destroyed === false)) return;
    this.#over = true;
    const whole = this.#outgoing.writableFinished && this.#upstream?.writableFinished !== false;
    // Joined sockets close each other, once what was received has gone out.
    if (!whole && this.#outcome !== "upgraded") this.#upstream?.destroy();
    this.#cpuMs = this.#lease?.cpuMs() ?? null;
    this.#release();
    const status = this.#outcome === "upgraded" ? 101 : this.#answered ? this.#outgoing.statusCode : 0;
    const wallMs = performance.now() - this.#startedAtMs;
    if (this.#concern !== undefined) this.#pass(this.#concern, status, wallMs);
    this.#options.onDone(this.#outcome, status, wallMs);
  }

  #pass({ account, origin }: Concern, status: number, wallMs: number): void {
    const { ray, url, address, headers } = this.#asked;
    const method = this.#incoming.method ?? "";
    this.#options.onPassed({ account, origin, ray, method, url, address, headers, status, wallMs, end: this.#end, cpuMs: this.#cpuMs });
  }
}

function whenConnected(socket: Socket, then: () => void): void {
  if (socket.connecting) socket.once("connect", then);
  else then();
}
