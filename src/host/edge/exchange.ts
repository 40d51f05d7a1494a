// One request on its way through a Worker: held until the capsule is hot, sent, answered, its lease given back
// exactly once. It is sent again only where it certainly did not reach the Worker the first time.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Log } from "../../kernel/log.ts";
import type { Answerer, Capsules, Choice, Concern, Lease, Passed } from "../contract.ts";
import { onAbort } from "./cut.ts";
import { answerFile, type Outlet } from "./files/answers.ts";
import type { Compressor } from "./files/compressor.ts";
import { responseHeaders } from "./headers.ts";
import { endOnceRead } from "./linger.ts";
import { pages, sendPage, type Page } from "./pages.ts";
import type { Connection, UpstreamFailure } from "./pool.ts";
import type { ResponseHead } from "./response-parser.ts";
import { joinSockets } from "./tunnel.ts";
import { meterTunnel } from "./tunnel-meter.ts";
import { MAX_UNTAKEN_WRITES } from "./untaken.ts";
import { upload } from "./upload.ts";
import type { Arrival } from "./visitors/arrival.ts";
import { headersBeforeClaim } from "./visitors/before-claim.ts";
import { say } from "./visitors/say.ts";
import type { Visitors } from "./visitors/visitors.ts";

/** How a request ended, for metrics: the Worker's answer, the edge's own, or no answer. */
export type Outcome = "proxied" | "page" | "cut" | "upgraded";

export type ExchangeOptions = {
  readonly capsules: Capsules;
  readonly compressor: Compressor;
  readonly visitors: Visitors | null;
  readonly log: Log;
  /** @param status 0 when nothing was sent */
  readonly onDone: (outcome: Outcome, status: number, durationMs: number) => void;
  readonly onRetry: () => void;
  /** Told before `onDone`, of requests to known accounts. */
  readonly onPassed: (passed: Passed) => void;
};

export type Asked = {
  readonly label: string;
  readonly choice: Choice;
  /** Without port, lower case. */
  readonly host: string;
  /** As the Worker sees it. */
  readonly url: string;
  /** Of the caller. */
  readonly address: string;
  readonly ray: string;
  readonly arrival: Arrival;
  /** As it is sent to the capsule. */
  readonly head: string;
  readonly hasBody: boolean;
  readonly upgrade: { readonly socket: Socket; readonly head: Buffer } | null;
};

const MAX_ONE_WRITE_BYTES = 8192;

const unstarted: Answerer = { kind: "unavailable", reason: "The Worker could not be started.", retryAfterSeconds: 5 };

/** Waits before a Worker that refused the connection is asked for again: its process has just died. */
const REFUSED_WAITS_MS = [0, 50, 200, 500];

/** Of a head, as it is sent. */
function bytesOf(headers: readonly string[]): number {
  let bytes = headers.length * 2;
  for (const part of headers) bytes += part.length;
  return bytes;
}

function destroyThis(this: ServerResponse): void {
  this.destroy();
}

export class Exchange implements Outlet {
  readonly #options: ExchangeOptions;
  readonly #asked: Asked;
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #startedAtMs = performance.now();
  #lease: Lease | undefined;
  #forget: (() => void)[] = [];
  /** Only while the request is on it: afterwards it serves others. */
  #connection: Connection | undefined;
  #tunnel: Socket | undefined;
  #outcome: Outcome = "cut";
  #refusals = 0;
  #resets = 0;
  #bodyStarted = false;
  #answered = false;
  /** Length of the body that the Worker announced. */
  #length: number | null = null;
  #asks = 0;
  /** Too much went to callers of the account: nothing more does. */
  #capped = false;
  /** Bytes of the body were written, or its end. */
  #flowing = false;
  #flushing = false;
  /** Of the body, what the read at hand has brought: views into what the next one overwrites. */
  #pieces: Buffer[] | null = null;
  /** Since it was last known that the caller had taken all. */
  #writes = 0;
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
    outgoing.on("error", destroyThis);
  }

  /** Starts the request on its way. */
  start(): void {
    this.#open().catch((error: unknown) => {
      this.#options.log.error({ err: error, ray: this.#asked.ray }, "a request could not be passed on");
      this.#cut();
    });
  }

  /**
   * Answers in the Worker's place where a visitor is to be asked first.
   * @returns whether it did; null where nobody can tell who answers for the account
   */
  async #askVisitor(): Promise<boolean | null> {
    const { capsules, visitors } = this.#options;
    const { arrival, label, ray } = this.#asked;
    if (visitors?.concerns(arrival) !== true) return false;
    const state = await capsules.claimState(label);
    if (this.#over) return true;
    if (state === null) return null;
    const said = visitors.say(arrival, this.#incoming.headers, state);
    if (said === null) return false;
    this.#concern = { account: state.account, origin: null };
    this.#ownAnswer("refused");
    say(this.#incoming, this.#outgoing, said, ray);
    return true;
  }

  async #answerer(): Promise<Answerer> {
    const { label, choice } = this.#asked;
    try {
      return await this.#options.capsules.open(label, this.#asks++ === 0 ? choice : { ...choice, again: true });
    } catch (error) {
      this.#options.log.error({ err: error, label }, "a capsule could not be asked for");
      return unstarted;
    }
  }

  async #open(): Promise<void> {
    const spoken = await this.#askVisitor();
    if (spoken === true) return;
    let answerer = await this.#answerer();
    // Control may have been away a moment ago: nobody passes because of that.
    if (spoken === null && answerer.kind === "lease" && (await this.#askVisitor()) !== false) {
      answerer.lease[Symbol.dispose]();
      answerer = unstarted;
    }
    if (this.#over || this.#answered) {
      if (answerer.kind === "lease") answerer.lease[Symbol.dispose]();
      return;
    }
    if (answerer.kind !== "lease" && answerer.kind !== "gone") this.#concern = answerer.concern;
    switch (answerer.kind) {
      case "lease":
        return this.#send(answerer.lease);
      case "gone":
        return this.#page(pages.gone(answerer.tombstone, this.#reportUrl));
      case "suspended":
        return this.#page(pages.suspended(answerer.reason, this.#reportUrl));
      case "capped":
        return this.#page(pages.capped(answerer.over, this.#reportUrl));
      case "none":
        return this.#page(pages.none());
      case "unavailable":
        return this.#page(pages.unavailable(answerer.reason, answerer.retryAfterSeconds));
    }
  }

  get #reportUrl(): string | undefined {
    return this.#options.visitors?.reportUrl(this.#asked.host);
  }

  #ownAnswer(end: Passed["end"]): void {
    this.#outcome = "page";
    this.#end = end;
    this.#answered = true;
    this.#whole = true;
  }

  #page(page: Page, end: Passed["end"] = "refused"): void {
    this.#ownAnswer(end);
    sendPage(this.#incoming, this.#outgoing, page, this.#asked.ray);
  }

  #send(lease: Lease): void {
    this.#lease = lease;
    this.#concern = lease;
    this.#forget.push(onAbort(lease.ended, () => this.#cut()));
    // A handshake is a request, which a redeploy lets finish; the socket that it makes is cut at once.
    if (this.#asked.upgrade !== null) this.#forget.push(onAbort(lease.replaced, () => this.#outcome === "upgraded" && this.#cut()));
    if (this.#over) return;
    const { head, hasBody, upgrade } = this.#asked;
    const isHead = this.#incoming.method === "HEAD";
    // A reset connection was stale, and so may the others of the pool be.
    const request = { head, isHead, hasBody, upgrade: upgrade !== null, fresh: this.#resets > 0 };
    this.#connection = lease.pool.connect(request);
    this.#connection.send(request, this);
  }

  /** Streams the caller's body; from here on the request is never sent again. */
  connected(): void {
    const connection = this.#connection;
    if (!this.#asked.hasBody || connection === undefined) return;
    this.#bodyStarted = true;
    if (this.#incoming.headers.expect !== undefined) this.#outgoing.writeContinue();
    upload(this.#incoming, connection);
  }

  drained(): void {
    this.#incoming.resume();
  }

  head(response: ResponseHead): void {
    this.#answered = true;
    this.#outcome = "proxied";
    const { host, ray } = this.#asked;
    const { flat, fileMark } = responseHeaders(response.raw, response.connection, host, ray);
    const headers = fileMark === undefined ? flat : this.#file(response, flat, fileMark);
    if (headers !== null) this.answer(response.status, response.reason, headers, response.length);
  }

  #file(response: ResponseHead, flat: string[], mark: string): string[] | null {
    const [lease, connection] = [this.#lease, this.#connection];
    if (lease === undefined || connection === undefined) return flat;
    const parts = { outlet: this, connection, compressor: this.#options.compressor };
    return answerFile(parts, lease, this.#incoming, response, flat, mark);
  }

  get over(): boolean {
    return this.#over;
  }

  onOver(forget: () => void): void {
    this.#forget.push(forget);
  }

  answer(status: number, reason: string, headers: string[], length: number | null): void {
    this.#length = length;
    if (!this.#served(bytesOf(headers))) return;
    const { kind } = this.#asked.arrival;
    const account = this.#lease?.account;
    const unclaimed = kind !== "inner" && account !== undefined && this.#options.capsules.unclaimed(account);
    try {
      this.#outgoing.writeHead(
        status,
        reason,
        unclaimed ? headersBeforeClaim(headers, kind, this.#options.visitors?.asks === true) : headers,
      );
    } catch (error) {
      // Node has the last word on what a head can hold.
      this.#options.log.warn({ err: error, account: this.#lease?.account }, "a Worker's response cannot be passed on");
      this.#cut();
    }
  }

  /** Counts what is about to go to the caller. @returns whether it may */
  #served(bytes: number, lease = this.#lease): boolean {
    if (this.#capped) return false;
    this.#capped = lease?.served(bytes) === true;
    // Whoever handed it over may be in the middle of a read.
    if (this.#capped) setImmediate(() => !this.#over && this.#cut());
    return !this.#capped;
  }

  body(bytes: Buffer): void {
    if (!this.#served(bytes.length)) return;
    if (!this.#flowing && !this.#asked.hasBody && bytes.length === this.#length && bytes.length <= MAX_ONE_WRITE_BYTES) {
      // Node joins a text, but not a buffer, with the head before it: one packet. Latin-1 keeps every byte.
      this.#flowing = true;
      this.#outgoing.end(bytes.toString("latin1"), "latin1");
      return;
    }
    this.#flowing = true;
    (this.#pieces ??= []).push(bytes);
  }

  whole(bytes: Buffer): void {
    if (bytes.length <= MAX_ONE_WRITE_BYTES) this.body(bytes);
    else if (this.#served(bytes.length)) this.#outgoing.write(bytes);
    this.finish();
  }

  /** Writes what one read brought at once: a Worker is free to make thousands of chunks of it. @returns false to hold the rest back */
  #write(pieces: readonly Buffer[]): boolean {
    this.#pieces = null;
    const outgoing = this.#outgoing;
    const bytes = Buffer.concat(pieces);
    if (++this.#writes < MAX_UNTAKEN_WRITES) {
      if (outgoing.write(bytes)) return true;
      outgoing.once("drain", () => this.#taken());
    } else {
      // Too few bytes, perhaps, for a "drain" to come.
      outgoing.write(bytes, () => this.#taken());
    }
    return false;
  }

  #taken(): void {
    this.#writes = 0;
    this.#connection?.resume();
  }

  paused(): boolean {
    if (this.#pieces !== null) return this.#write(this.#pieces);
    // Headers usually leave with the first bytes of the body; an event stream may have none for long.
    if (this.#flowing || this.#flushing || !this.#answered) return true;
    this.#flushing = true;
    setImmediate(() => {
      if (!this.#flowing && !this.#over) this.#outgoing.flushHeaders();
    });
    return true;
  }

  parted(): void {
    this.#connection = undefined;
  }

  ended(): void {
    this.parted();
    this.finish();
  }

  finish(): void {
    if (this.#whole || this.#capped) return;
    this.#flowing = true;
    this.#whole = true;
    this.#end = "answered";
    if (this.#outgoing.writableEnded) return;
    if (this.#pieces !== null) this.#write(this.#pieces);
    endOnceRead(this.#incoming, this.#outgoing);
  }

  switched(head: ResponseHead, upstream: Socket, rest: Buffer): void {
    this.#connection = undefined;
    const { upgrade, host, ray } = this.#asked;
    if (upgrade === null || this.#over) {
      upstream.destroy();
      return;
    }
    this.#tunnel = upstream;
    this.#answered = true;
    this.#end = "answered";
    this.#outcome = "upgraded";
    const { flat } = responseHeaders(head.raw, undefined, host, ray);
    let text = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`;
    for (let i = 0; i < flat.length; i += 2) text += `${flat[i]}: ${flat[i + 1]}\r\n`;
    this.#outgoing.detachSocket(upgrade.socket);
    // The response object is done with; the socket's end is the exchange's end from now on.
    upgrade.socket.once("close", () => this.#close());
    upgrade.socket.write(`${text}\r\n`, "latin1");
    const lease = this.#lease;
    this.#forget.push(meterTunnel(upgrade.socket, (bytes) => this.#served(bytes, lease)));
    joinSockets(upgrade.socket, upgrade.head, upstream, rest, { halfOpen: false });
    if (this.#lease?.replaced.aborted === true) upgrade.socket.destroySoon();
  }

  failed({ error, refused, stale }: UpstreamFailure): void {
    this.#connection = undefined;
    if (this.#over) return;
    // Of a caller's body the rest is read and thrown away.
    if (this.#bodyStarted) this.#incoming.resume();
    if (this.#answered) {
      // Too late to say anything: a body cut short must look like one.
      if (this.#whole) return;
      this.#end = "lost";
      this.#outgoing.destroy();
      return;
    }
    if (refused && !this.#bodyStarted && this.#refusals < REFUSED_WAITS_MS.length) {
      this.#again(REFUSED_WAITS_MS[this.#refusals++] ?? 0);
      return;
    }
    const { method } = this.#incoming;
    if (stale && !this.#asked.hasBody && (method === "GET" || method === "HEAD") && this.#resets === 0) {
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
    this.#connection?.destroy();
    this.#connection = undefined;
    this.#tunnel?.destroy();
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
    this.#cpuMs = this.#lease?.cpuMs() ?? null;
    this.#connection?.destroy();
    this.#connection = undefined;
    this.#release();
    const status = this.#outcome === "upgraded" ? 101 : this.#answered ? this.#outgoing.statusCode : 0;
    const wallMs = performance.now() - this.#startedAtMs;
    if (this.#concern !== undefined) this.#pass(this.#concern, status, wallMs);
    this.#options.onDone(this.#outcome, status, wallMs);
  }

  #pass({ account, origin }: Concern, status: number, wallMs: number): void {
    const { ray, url, address, head } = this.#asked;
    const method = this.#incoming.method ?? "";
    this.#options.onPassed({ account, origin, ray, method, url, address, head, status, wallMs, end: this.#end, cpuMs: this.#cpuMs });
  }
}
