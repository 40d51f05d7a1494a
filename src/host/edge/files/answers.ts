// The answers that the edge makes of a file, in place of handing on what the asset service said: each takes the rest of
// the response in until the caller has what it asked for. What remains is read and thrown away where it is short, so that
// the connection can serve again, and else the connection is closed.
import type { IncomingMessage } from "node:http";
import type { Lease } from "../../contract.ts";
import { readFileMark } from "../../file-mark.ts";
import type { Connection, Receiver, UpstreamFailure } from "../pool.ts";
import type { ResponseHead } from "../response-parser.ts";
import type { Compressor, Job } from "./compressor.ts";
import { planFile, type FilePlan } from "./plan.ts";
import type { Kept } from "./shelf.ts";

/** What an answer uses of the exchange that it is for. */
export type Outlet = Receiver & {
  /** Whether the caller is gone, or has it all. */
  readonly over: boolean;
  /** @param length of the body */
  answer(status: number, reason: string, headers: string[], length: number | null): void;
  /** The whole body, which nobody overwrites: it is not copied. */
  whole(bytes: Buffer): void;
  /** The body is whole, though the response may not be. */
  finish(): void;
  /** The response has been taken in: its connection serves others from now on, or is gone. */
  parted(): void;
  /** Called once the exchange is over, however it ends. */
  onOver(forget: () => void): void;
};

export type FileParts = {
  readonly outlet: Outlet;
  readonly connection: Connection;
  readonly compressor: Compressor;
};

/** Bytes that are rather read and thrown away than a connection given up for. */
const DRAIN_BYTES = 262_144;

/** Takes in what nobody wants any more. */
class Rest implements Receiver {
  readonly #outlet: Outlet;

  constructor(outlet: Outlet) {
    this.#outlet = outlet;
  }

  connected(): void {}
  head(): void {}
  body(): void {}
  paused(): boolean {
    return true;
  }
  ended(): void {
    this.#outlet.ended();
  }
  failed(failure: UpstreamFailure): void {
    this.#outlet.failed(failure);
  }
  switched(_head: ResponseHead, socket: Parameters<Receiver["switched"]>[1]): void {
    socket.destroy();
  }
  drained(): void {
    this.#outlet.drained();
  }
}

/** Nobody wants what is still to come. */
function leave({ outlet, connection }: FileParts, leftBytes: number): void {
  connection.handTo(new Rest(outlet));
  if (leftBytes > DRAIN_BYTES) connection.destroy();
  else connection.resume();
}

/** Hands on the bytes from `first` to `last`. */
class Part implements Receiver {
  readonly #parts: FileParts;
  readonly #length: number;
  #skip: number;
  #left: number;
  #seen = 0;

  constructor(parts: FileParts, length: number, first: number, last: number) {
    this.#parts = parts;
    this.#length = length;
    this.#skip = first;
    this.#left = last - first + 1;
  }

  connected(): void {}
  head(): void {}

  body(bytes: Buffer): void {
    this.#seen += bytes.length;
    const skipped = Math.min(this.#skip, bytes.length);
    this.#skip -= skipped;
    const wanted = bytes.subarray(skipped, skipped + this.#left);
    if (wanted.length === 0) return;
    this.#left -= wanted.length;
    const { outlet } = this.#parts;
    outlet.body(wanted);
    if (this.#left > 0) return;
    outlet.finish();
    leave(this.#parts, this.#length - this.#seen);
  }

  paused(): boolean {
    return this.#parts.outlet.paused();
  }

  ended(): void {
    this.#parts.outlet.ended();
  }
  failed(failure: UpstreamFailure): void {
    this.#parts.outlet.failed(failure);
  }
  switched(_head: ResponseHead, socket: Parameters<Receiver["switched"]>[1]): void {
    socket.destroy();
  }
  drained(): void {
    this.#parts.outlet.drained();
  }
}

type Compress = Extract<FilePlan, { kind: "compress" }>;

/** Waits for a compressed form: reads the file for it where that is its task, and holds it back where another does. */
class Compressed implements Receiver {
  readonly #parts: FileParts;
  readonly #head: ResponseHead;
  readonly #plan: Compress;
  readonly #job: Job | null;
  #pieces: Buffer[] = [];
  #seen = 0;
  #ended = false;
  #lost: UpstreamFailure | null = null;

  constructor(parts: FileParts, head: ResponseHead, plan: Compress, job: Job | null, done: Promise<Kept | null>) {
    this.#parts = parts;
    this.#head = head;
    this.#plan = plan;
    this.#job = job;
    if (job !== null) parts.outlet.onOver(() => job.abandon());
    void done.then((kept) => this.#settle(kept));
  }

  connected(): void {}
  head(): void {}

  body(bytes: Buffer): void {
    this.#seen += bytes.length;
    this.#pieces.push(Buffer.from(bytes));
  }

  paused(): boolean {
    return this.#job !== null;
  }

  ended(): void {
    this.#ended = true;
    this.#parts.outlet.parted();
    this.#job?.finish(Buffer.concat(this.#pieces));
  }

  failed(failure: UpstreamFailure): void {
    this.#lost = failure;
    this.#parts.outlet.parted();
    this.#job?.abandon();
  }

  switched(_head: ResponseHead, socket: Parameters<Receiver["switched"]>[1]): void {
    socket.destroy();
  }

  drained(): void {
    this.#parts.outlet.drained();
  }

  #settle(kept: Kept | null): void {
    const { outlet } = this.#parts;
    if (outlet.over) return;
    if (kept?.bytes) {
      sendKept(this.#parts, this.#head, this.#plan, kept, kept.bytes);
      if (this.#lost !== null || this.#ended) outlet.ended();
      else leave(this.#parts, (this.#head.length ?? 0) - this.#seen);
      return;
    }
    if (this.#lost !== null) return outlet.failed(this.#lost);
    this.#plain();
  }

  /** Hands on what has come, and what is still to come. */
  #plain(): void {
    const { outlet, connection } = this.#parts;
    outlet.answer(this.#head.status, this.#head.reason, this.#plan.plain, this.#head.length);
    for (const piece of this.#pieces) outlet.body(piece);
    this.#pieces = [];
    if (this.#ended) return outlet.ended();
    connection.handTo(outlet);
    if (outlet.paused()) connection.resume();
  }
}

function sendKept({ outlet, compressor }: FileParts, head: ResponseHead, plan: Compress, kept: Kept, bytes: Buffer): void {
  outlet.onOver(compressor.shelf.hold(kept));
  outlet.answer(head.status, head.reason, [...plan.headers, "Content-Length", String(bytes.length)], bytes.length);
  outlet.whole(bytes);
}

/** @returns the headers to hand the response on with; null when it is being answered otherwise */
function answerCompressed(parts: FileParts, lease: Lease, head: ResponseHead, plan: Compress, isHead: boolean): string[] | null {
  const { compressor } = parts;
  if (isHead) {
    const kept = compressor.find(lease.account, plan.encoding, plan.tag);
    if (kept === undefined) return plan.headers;
    return kept.bytes === null ? plan.plain : [...plan.headers, "Content-Length", String(kept.bytes.length)];
  }
  const sought = compressor.seek(lease.account, plan.encoding, plan.tag, head.length ?? 0, lease.ended);
  switch (sought.kind) {
    case "busy":
      return plan.plain;
    case "kept":
      if (sought.kept.bytes === null) return plan.plain;
      sendKept(parts, head, plan, sought.kept, sought.kept.bytes);
      leave(parts, head.length ?? 0);
      return null;
    case "pending":
      parts.connection.handTo(new Compressed(parts, head, plan, null, sought.done));
      return null;
    case "job":
      parts.connection.handTo(new Compressed(parts, head, plan, sought.job, sought.job.done));
      return null;
    default:
      return sought satisfies never;
  }
}

/**
 * Answers with a file, if the response is one. Called with its head; may hand the connection to another receiver.
 * @param mark that the response bore @returns headers to hand it on with; null when it is being answered otherwise
 */
export function answerFile(
  parts: FileParts,
  lease: Lease,
  { method, headers }: Pick<IncomingMessage, "method" | "headers">,
  head: ResponseHead,
  flat: string[],
  mark: string,
): string[] | null {
  const file = readFileMark(mark, lease.fileMark);
  if (file === null) return flat;
  const request = {
    method,
    range: headers.range,
    ifRange: headers["if-range"]?.toString(),
    ifNoneMatch: headers["if-none-match"],
    acceptEncoding: headers["accept-encoding"],
    cacheControl: headers["cache-control"],
  };
  const { status, length } = head;
  const plan = planFile(request, { status, length, headers: flat, ...file });
  const left = method === "HEAD" ? 0 : (length ?? 0);
  switch (plan.kind) {
    case "pass":
      return plan.headers;
    case "part":
      parts.outlet.answer(206, "Partial Content", plan.headers, plan.last - plan.first + 1);
      parts.connection.handTo(new Part(parts, left, plan.first, plan.last));
      return null;
    case "unsatisfiable":
    case "not-modified":
      if (plan.kind === "unsatisfiable") parts.outlet.answer(416, "Range Not Satisfiable", plan.headers, 0);
      else parts.outlet.answer(304, "Not Modified", plan.headers, null);
      parts.outlet.finish();
      leave(parts, left);
      return null;
    case "compress":
      return answerCompressed(parts, lease, head, plan, method === "HEAD");
    default:
      return plan satisfies never;
  }
}
