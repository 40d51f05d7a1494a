// The API of `wrangler tail`: a tail is asked for by a token, and opened by the signed address that is the answer.
import type { CapsuleHost } from "../../capsule/messages.ts";
import { iso } from "../../kernel/clock.ts";
import { PlatformError } from "../../kernel/errors.ts";
import { readJson } from "../http/body.ts";
import { success } from "../http/envelope.ts";
import { accountRoute, capabilityRoute, type AccountCall, type Route } from "../http/routes.ts";
import { readFilters, tailBody } from "./filters.ts";
import { openSource } from "./tailing.ts";
import type { TailCapabilities } from "./tail-capability.ts";
import type { Tail, Tails } from "./tails.ts";

const BODY_MAX_BYTES = 65_536;
const TAILS = "/accounts/:account/workers/scripts/:script/tails";
const CONNECT = "/tails/:tail";
/** Where the WebSocket is opened, as a request names it. */
export const CONNECT_PATH = /^\/client\/v4\/tails\/[^/]+$/;

const READ = { action: "logs:read", product: "workers", param: "script" } as const;

export type TailRoutesOptions = {
  readonly host: Pick<CapsuleHost, "tail">;
  readonly tails: Tails;
  readonly capabilities: TailCapabilities;
  readonly url: URL;
};

const scriptOf = (call: AccountCall): string => call.params["script"] ?? "";

export function tailRoutes({ host, tails, capabilities, url }: TailRoutesOptions): Route[] {
  const addressOf = async (tail: Tail): Promise<string> => {
    const address = new URL(`/client/v4${CONNECT.replace(":tail", tail.id)}`, url);
    address.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("capability", await capabilities.sign({ tail: tail.id, account: tail.account }));
    return address.href;
  };
  return [
    accountRoute("POST", TAILS, READ, async (call) => {
      const script = scriptOf(call);
      const body = await readJson(call.request, tailBody, BODY_MAX_BYTES);
      const query = readFilters({ account: call.account, worker: script }, body, call.address);
      const tail = await tails.create(call.principal, script, query, () => openSource(host, query));
      return success({ id: tail.id, url: await addressOf(tail), expires_at: iso(tail.expiresAtMs) });
    }),
    accountRoute("GET", TAILS, READ, async (call) => {
      const script = scriptOf(call);
      await tails.checkWorker(call.account, script);
      return success(
        tails.list(call.account, script).map(({ id, state, createdAtMs, expiresAtMs }) => ({
          id,
          state,
          created_on: iso(createdAtMs),
          expires_at: iso(expiresAtMs),
        })),
      );
    }),
    accountRoute("DELETE", `${TAILS}/:tail`, READ, (call) => {
      const id = call.params["tail"] ?? "";
      tails.remove(call.principal, scriptOf(call), id);
      return Promise.resolve(success({ id }));
    }),
    capabilityRoute("GET", CONNECT, "the signed address of a tail, opened as a WebSocket", () => {
      throw new PlatformError("upgrade_required", { message: "This address opens a WebSocket, once." });
    }),
  ];
}
