// Streams of records as server-sent events: a bounded number for each account, each under guard, none after a stop.
import type { FollowQuery } from "../../capsule/logs.ts";
import type { CapsuleHost } from "../../capsule/messages.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { Log } from "../../kernel/log.ts";
import type { HolderCall } from "../http/routes.ts";
import { openEventStream, type EventStream } from "./event-stream.ts";
import type { Watch } from "./watch.ts";

export const STREAMS_PER_ACCOUNT = 10;

export type Following = {
  /** The answer, which goes on until one of both sides ends it. @throws PlatformError too_many_streams, token_refused, capsule_failed */
  open(call: Pick<HolderCall, "principal" | "hangUp">, query: FollowQuery): Promise<Response>;
  stop(): void;
};

export type FollowingOptions = { readonly host: Pick<CapsuleHost, "follow">; readonly watch: Watch; readonly log: Log };

type Place = { readonly account: string; stream: EventStream | null };

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  // nginx would keep events back.
  "x-accel-buffering": "no",
};

export function openFollowing({ host, watch, log }: FollowingOptions): Following {
  const places = new Set<Place>();
  let isStopped = false;

  const take = (account: string): Place => {
    const taken = [...places].filter((place) => place.account === account).length;
    if (taken >= STREAMS_PER_ACCOUNT) {
      throw new PlatformError("too_many_streams", {
        message: `This account's log is followed ${taken} times already, as often as it may be.`,
        retryAfterSeconds: 10,
      });
    }
    const place: Place = { account, stream: null };
    places.add(place);
    return place;
  };

  return {
    open: async ({ principal, hangUp }, query) => {
      const place = take(principal.account);
      await using opening = new AsyncDisposableStack();
      opening.defer(() => void places.delete(place));
      const ended = { why: "" };
      const guard = opening.use(
        await watch.guard(principal, (why) => {
          ended.why = why;
          place.stream?.end(why);
        }),
      );
      const source = opening.adopt(await host.follow(query), (stream) => void stream.destroy());
      // Host may have taken its time, and the token have ended meanwhile.
      if (!(await guard.check())) throw new PlatformError("token_refused", { message: ended.why });
      if (isStopped) throw new PlatformError("capsule_failed", { message: "The server stops." });
      const owned = opening.move();
      const whyEnded = async (): Promise<string> =>
        (await guard.check()) ? "The part of this installation that runs Workers was interrupted; follow again." : "The account has ended.";
      place.stream = openEventStream({
        source,
        isOver: guard.isOver,
        whyEnded,
        hangUp,
        onClosed: () => void owned.disposeAsync(),
        onFault: (err) => log.warn({ err }, "a stream of records from host broke"),
      });
      return new Response(place.stream.body, { headers: HEADERS });
    },
    stop: () => {
      isStopped = true;
      for (const { stream } of places) stream?.end("The server stops; follow again in a moment.");
    },
  };
}
