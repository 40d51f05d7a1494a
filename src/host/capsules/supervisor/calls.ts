// Control's requests to the services of an account's process, through the control Worker's socket. A process that
// has been taken over may answer anything or nothing: heads are bounded and checked, bodies stream to whoever asked.
import { request, type IncomingMessage } from "node:http";
import { finished, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { json } from "node:stream/consumers";
import type { CapsuleAnswer, CapsuleCall, ScheduledCall, ScheduledOutcome } from "../../../capsule/calls.ts";
import { scheduledOutcome } from "../../../capsule/calls.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Hold } from "./run.ts";

type Enter = { enter(account: AccountId, why: "call" | "due"): Promise<Hold> };

/** The longest that a handler of a schedule may take; the hosted original's. */
const SCHEDULE_MS = 900_000;
/** From the end of a request to the head of its answer. */
const ANSWER_MS = 60_000;

const lost = (cause: unknown): PlatformError =>
  new PlatformError("capsule_failed", { message: "The account's process went away before it answered.", cause });

type Asking = { readonly method: string; readonly path: string; readonly headers: Record<string, string>; readonly withinMs: number };

/** Sends one request on the control socket. Rejects with `capsule_failed`. */
function exchange(hold: Hold, asking: Asking, body: Readable | Uint8Array): Promise<IncomingMessage> {
  const { method, path, headers, withinMs } = asking;
  return new Promise((resolve, reject) => {
    const { socketPath, ended } = hold;
    // A service that answers before it has read a body to its end has its connection closed: never one that others use.
    const agent = body instanceof Readable || body.byteLength > 0 ? false : hold.agent;
    const outgoing = request({ socketPath, agent, method, path, headers: { host: "control", ...headers }, signal: ended });
    outgoing.setTimeout(withinMs, () => outgoing.destroy(new Error("no answer in time")));
    outgoing.once("response", resolve);
    outgoing.once("error", (error) => reject(lost(error)));
    if (body instanceof Readable) pipeline(body, outgoing).catch((error: unknown) => reject(lost(error)));
    else outgoing.end(body);
  });
}

/** @throws PlatformError as `CapsuleHost.call` */
export async function callService(
  supervisor: Enter,
  call: CapsuleCall,
  body: Readable | Uint8Array = new Uint8Array(),
): Promise<CapsuleAnswer> {
  const hold = await supervisor.enter(call.account, "call");
  try {
    const path = `/call/${call.service}/${call.entrypoint ?? "-"}${call.path}`;
    const headers = { ...call.headers, "mayfly-props": call.props };
    const incoming = await exchange(hold, { method: call.method, path, headers, withinMs: ANSWER_MS }, body);
    // The process stays until the answer has gone wherever it goes.
    finished(incoming, () => hold[Symbol.dispose]());
    const names = Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]);
    return { status: incoming.statusCode ?? 500, headers: Object.fromEntries(names) as Record<string, string>, body: incoming };
  } catch (error) {
    hold[Symbol.dispose]();
    throw error;
  }
}

/** @throws PlatformError as `CapsuleHost.schedule` */
export async function runSchedule(supervisor: Enter, { account, ...call }: ScheduledCall): Promise<ScheduledOutcome> {
  // Whatever is thrown from here was thrown before the handler began; what comes later is an outcome.
  using hold = await supervisor.enter(account, "due");
  const asking = { method: "POST", path: "/scheduled", headers: { "content-type": "application/json" }, withinMs: SCHEDULE_MS };
  try {
    const incoming = await exchange(hold, asking, Buffer.from(JSON.stringify(call)));
    if (incoming.statusCode === 200) return scheduledOutcome.parse(await json(incoming));
    incoming.resume();
    return { outcome: incoming.statusCode === 404 ? "absent" : "exception" };
  } catch {
    return { outcome: "lost" };
  }
}
