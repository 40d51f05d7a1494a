// From a signed address to a connection that carries host's events: verified, taken once, guarded, pumped no faster
// than it is read. A host that is away for a moment does not end it: wrangler would give up, or tail nothing.
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { TailQuery } from "../../capsule/logs.ts";
import type { CapsuleHost } from "../../capsule/messages.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { Log } from "../../kernel/log.ts";
import type { UpgradeCall } from "../http/upgrade.ts";
import { linesOf } from "./ndjson.ts";
import { tailRefused, type TailCapabilities } from "./tail-capability.ts";
import { checkHandshake, openTailSocket, type TailSocket } from "./tail-socket.ts";
import type { Tail, Tails } from "./tails.ts";
import type { Finality, Guard, Watch } from "./watch.ts";

/** RFC 6455 §7.4.1. At 1000 wrangler ends well, at any other it asks for a new tail. */
const CLOSE_CODE: Readonly<Record<Finality, number>> = { final: 1000, renew: 1012 };
/** How long a restart of host may take. */
const HOST_WITHIN_MS = 20_000;
const HOST_AGAIN_MS = 250;

/** As wrangler prints what is said of a tail itself. */
const INTERRUPTED = JSON.stringify({
  outcome: "unknown",
  scriptName: null,
  logs: [],
  exceptions: [],
  eventTimestamp: null,
  event: { type: "overload", message: "The part of this installation that runs Workers was interrupted; events of that time are missing." },
});

export type TailingOptions = {
  readonly host: Pick<CapsuleHost, "tail">;
  readonly tails: Tails;
  readonly capabilities: TailCapabilities;
  readonly watch: Watch;
  readonly log: Log;
};

/** Host's stream, from the moment at which its tail is asked for. @throws PlatformError as host, which may not carry tails at all */
export async function openSource(host: Pick<CapsuleHost, "tail">, query: TailQuery): Promise<Readable> {
  const source = await host.tail(query);
  // Host may go before anybody reads; who reads is told then.
  source.on("error", () => {});
  return source;
}

/** Host's stream; null while host is away. */
async function reach(host: Pick<CapsuleHost, "tail">, tail: Tail): Promise<Readable | null> {
  try {
    return await openSource(host, tail.query);
  } catch (error) {
    if (error instanceof PlatformError) return null;
    throw error;
  }
}

async function reachAgain({ host }: TailingOptions, tail: Tail): Promise<Readable | null> {
  for (const until = performance.now() + HOST_WITHIN_MS; performance.now() < until && tail.state !== "ended";) {
    // First, so that a stream which ends as soon as it is there makes no busy loop.
    await sleep(HOST_AGAIN_MS);
    const source = await reach(host, tail);
    if (source) return source;
  }
  return null;
}

type Tailing = { readonly tail: Tail; readonly guard: Guard; readonly connection: TailSocket };

const isOver = ({ tail, guard }: Tailing): boolean => guard.isOver() || tail.state === "ended";

/** Sends what the source says until it ends; false when there is nobody to send to. */
async function pump(tailing: Tailing, source: Readable, log: Log): Promise<boolean> {
  const { tail, connection } = tailing;
  try {
    for await (const line of linesOf(source)) if (isOver(tailing) || !(await connection.send(line))) return false;
  } catch (err) {
    if (tail.state !== "ended") log.debug({ err, tail: tail.id }, "a tail's stream from host broke");
  }
  // Host's stream ends with its account, and when host itself does; the guard ends the tail in the first case.
  return !isOver(tailing) && (await tailing.guard.check().catch(() => true));
}

async function carry(options: TailingOptions, tailing: Tailing): Promise<void> {
  const { tail, connection } = tailing;
  while (!isOver(tailing)) {
    if (!(await pump(tailing, tail.source, options.log))) return;
    const source = await reachAgain(options, tail);
    if (source === null) break;
    tail.source = source;
    if (isOver(tailing) || !(await connection.send(INTERRUPTED))) break;
  }
  tail.source.destroy();
  options.tails.end(tail, "The part of this installation that runs Workers does not answer.", "renew");
}

/** Takes the socket over, or throws before a byte was written to it. @throws PlatformError tail_invalid, invalid_input, token_refused */
export async function connectTail(options: TailingOptions, { request, url, socket, head }: UpgradeCall): Promise<void> {
  const { tails, capabilities, watch } = options;
  checkHandshake(request);
  const named = await capabilities.verify(url.searchParams.get("capability") ?? "");
  if (url.pathname.split("/").at(-1) !== named.tail) throw tailRefused();
  const tail = tails.take(named.account, named.tail);
  await using opening = new AsyncDisposableStack();
  opening.defer(() => tails.end(tail, "It could not be opened."));
  const guard = opening.use(await watch.guard(tail.principal, (why, how) => tails.end(tail, why, how)));
  // Deleted, or the client gone, while the database was asked.
  if (tail.state !== "opening" || socket.destroyed) throw tailRefused();
  tail.state = "open";
  const connection = openTailSocket(request, socket, head);
  tail.hangUp = (why, how) => connection.close(CLOSE_CODE[how], why);
  const owned = opening.move();
  const letGo = async (): Promise<void> => {
    await connection.closed;
    tails.end(tail, "The client closed it.", "final", tail.principal);
    await owned.disposeAsync();
  };
  void letGo();
  carry(options, { tail, guard, connection }).catch((err: unknown) => {
    options.log.error({ err, tail: tail.id }, "a tail could not be carried on");
    tails.end(tail, "Something went wrong inside this installation.", "renew");
  });
}
