// Back to an earlier state of a database. There is one for each moment at which a bookmark was taken and for no other;
// every answer says so where it matters.
import { z } from "zod";
import { iso } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import { success } from "../../http/envelope.ts";
import { accountRoute, type AccountCall, type Route } from "../../http/routes.ts";
import type { ProductContext } from "../product.ts";
import { checkInput } from "./contract.ts";
import { ONE, reachableDatabase, READ, WRITE } from "./database-routes.ts";
import { BOOKMARK } from "../../../capsule/bookmark.ts";
import type { DatabaseKeeper, Moment } from "./keeper.ts";

const SHOWN = 12;

/** RFC 3339, or whole seconds since 1970. */
function instant(text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text) * 1000;
  return /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
}

const timestamp = z.string().transform(instant).pipe(z.number("is not an RFC 3339 time or whole seconds since 1970").min(0));
const bookmarkQuery = z.object({ timestamp: timestamp.optional() });
const restoreQuery = z.object({
  bookmark: z.string().regex(BOOKMARK, "is not a bookmark of this installation").optional(),
  timestamp: timestamp.optional(),
});

const shown = (moments: readonly Moment[]): string =>
  moments.length === 0
    ? "There is none yet; `wrangler d1 time-travel info` takes one."
    : `There are: ${moments
        .slice(0, SHOWN)
        .map(({ bookmark, atMs }) => `${bookmark} (${iso(atMs)})`)
        .join(", ")}.`;

const noSuch = (message: string, moments: readonly Moment[]): PlatformError =>
  new PlatformError("bookmark_not_found", { message, next: shown(moments) });

/** @throws PlatformError bookmark_not_found, naming the oldest there is */
function newestBefore(moments: readonly Moment[], atMs: number): Moment {
  const found = moments.find((moment) => moment.atMs <= atMs);
  if (found) return found;
  const oldest = moments.at(-1);
  throw noSuch(`timestamp: no bookmark is as old as ${iso(atMs)}${oldest ? `; the oldest is of ${iso(oldest.atMs)}` : ""}.`, moments);
}

async function bookmarkAt(context: ProductContext, keeper: DatabaseKeeper, call: AccountCall): Promise<Response> {
  const { id } = await reachableDatabase(context, call);
  const { timestamp: atMs } = checkInput(bookmarkQuery, Object.fromEntries(call.url.searchParams), "query");
  if (atMs === undefined) return success({ bookmark: (await keeper.bookmark(call.account, id)).bookmark });
  const found = newestBefore(await keeper.bookmarks(call.account, id), atMs);
  const grain = `This state is of ${iso(found.atMs)}: what changed between then and ${iso(atMs)} is in no bookmark.`;
  return success({ bookmark: found.bookmark }, { messages: [grain] });
}

async function restore(context: ProductContext, keeper: DatabaseKeeper, call: AccountCall): Promise<Response> {
  const { account, principal } = call;
  const { id, name } = await reachableDatabase(context, call);
  const wanted = checkInput(restoreQuery, Object.fromEntries(call.url.searchParams), "query");
  if ((wanted.bookmark === undefined) === (wanted.timestamp === undefined))
    throw new PlatformError("database_input", { message: "query: send either bookmark or timestamp." });
  const moments = await keeper.bookmarks(account, id);
  const to =
    wanted.timestamp === undefined ? moments.find((one) => one.bookmark === wanted.bookmark) : newestBefore(moments, wanted.timestamp);
  if (!to) throw noSuch("bookmark: this database has no such bookmark (any more).", moments);
  const { previous } = await context.outside(principal, "d1:restore", `d1/${id}`, () => keeper.restore(account, id, to.bookmark));
  const undo =
    previous === null ? "what it held before could not be read, so there is no way back" : `what it held before is bookmark ${previous}`;
  const message = `The database ${JSON.stringify(name)} is as it was at ${iso(to.atMs)}; ${undo}.`;
  return success({ bookmark: to.bookmark, previous_bookmark: previous, message });
}

export function timeTravelRoutes(context: ProductContext, keeper: DatabaseKeeper): Route[] {
  return [
    accountRoute("GET", `${ONE}/time_travel/bookmark`, READ, (call) => bookmarkAt(context, keeper, call)),
    accountRoute("POST", `${ONE}/time_travel/restore`, WRITE, (call) => restore(context, keeper, call)),
  ];
}
