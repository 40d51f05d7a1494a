// From a signed address to a connection that carries host's events: verified, taken once, guarded, pumped no faster
// than it is read.
import type { Readable } from "node:stream";
import type { CapsuleHost } from "../../capsule/messages.ts";
import type { Log } from "../../kernel/log.ts";
import type { UpgradeCall } from "../http/upgrade.ts";
import { linesOf } from "./ndjson.ts";
import { tailRefused, type TailCapabilities } from "./tail-capability.ts";
import { checkHandshake, openTailSocket, type TailSocket } from "./tail-socket.ts";
import type { Tail, Tails } from "./tails.ts";
import type { Finality, Guard, Watch } from "./watch.ts";

/** RFC 6455 §7.4.1. At 1000 wrangler ends well, at any other it asks for a new tail. */
const CLOSE_CODE: Readonly<Record<Finality, number>> = { final: 1000, renew: 1012 };

export type TailingOptions = {
  readonly host: Pick<CapsuleHost, "tail">;
  readonly tails: Tails;
  readonly capabilities: TailCapabilities;
  readonly watch: Watch;
  readonly log: Log;
};

type Tailing = { readonly tail: Tail; readonly guard: Guard; readonly source: Readable; readonly connection: TailSocket };

async function pump({ tails, log }: TailingOptions, { tail, guard, source, connection }: Tailing): Promise<void> {
  try {
    for await (const line of linesOf(source)) {
      if (guard.isOver() || tail.state === "ended" || !(await connection.send(line))) return;
    }
  } catch (err) {
    if (tail.state !== "ended") log.debug({ err, tail: tail.id }, "a tail's stream from host broke");
  }
  // Host's stream ends with its account, and when host itself does; the guard ends the tail in the first case.
  if (tail.state === "ended" || !(await guard.check().catch(() => true))) return;
  tails.end(tail, "The part of this installation that runs Workers was interrupted.", "renew");
}

/** Takes the socket over, or throws before a byte was written to it. @throws PlatformError tail_invalid, invalid_input, capsule_failed */
export async function connectTail(options: TailingOptions, { request, url, socket, head }: UpgradeCall): Promise<void> {
  const { host, tails, capabilities, watch } = options;
  checkHandshake(request);
  const named = await capabilities.verify(url.searchParams.get("capability") ?? "");
  if (url.pathname.split("/").at(-1) !== named.tail) throw tailRefused();
  const tail = tails.take(named.account, named.tail);
  await using opening = new AsyncDisposableStack();
  opening.defer(() => tails.end(tail, "It could not be opened."));
  if (tail.principal.epoch !== named.epoch) throw tailRefused();
  const guard = opening.use(await watch.guard(tail.principal, (why, how) => tails.end(tail, why, how)));
  const source = opening.adopt(await host.tail(tail.query), (stream) => void stream.destroy());
  // Deleted, or the client gone, while host was asked.
  if (tail.state !== "open" || socket.destroyed) throw tailRefused();
  const connection = openTailSocket(request, socket, head);
  tail.hangUp = (why, how) => {
    source.destroy();
    connection.close(CLOSE_CODE[how], why);
  };
  const owned = opening.move();
  const letGo = async (): Promise<void> => {
    await connection.closed;
    tails.end(tail, "The client closed it.");
    await owned.disposeAsync();
  };
  void letGo();
  void pump(options, { tail, guard, source, connection });
}
