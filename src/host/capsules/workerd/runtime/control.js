// Ours, trusted, in every capsule's process on a socket of its own: answers the watchdog, reads and writes what the
// Workers' bindings see, sets off their schedules, and hands over what tail events brought. A process whose event loop is held by a tenant's endless loop cannot answer, which is the point.
// No tenant is bound to it. What does not fit into its bounds is counted, never waited for.
import { WorkerEntrypoint } from "cloudflare:workers";

const MAX_EVENTS = 2_000;
const MAX_CHARS = 262_144;
/** Of one event's lines, and of one of them. */
const MAX_LINES_CHARS = 65_536;
const MAX_LINE_CHARS = 16_384;
/** Calls of which it is known how many events their answers took along. */
const MAX_CARRIED = 16;

let kept = [];
let chars = 0;
let lost = 0;
/** Whether a live tail wants every event, with everything that it tells. */
let all = false;
/** Whether nothing but their number is wanted. */
let none = false;
let wake = () => {};
/** Call's number → events that went with its answer. */
const carried = new Map();

/** Arguments of one console call as JSON, cut where they are longer than a line may be. */
function argumentsOf(message) {
  const text = JSON.stringify(message);
  if (text.length <= MAX_LINE_CHARS) return text;
  const whole = message.length === 1 && typeof message[0] === "string" ? message[0] : text;
  return JSON.stringify([`${whole.slice(0, MAX_LINE_CHARS - 64)}… (${whole.length} characters)`]);
}

function lines(logs) {
  let room = MAX_LINES_CHARS;
  const taken = [];
  for (const { level, timestamp, message, errorInfo } of logs) {
    const text = argumentsOf(message);
    room -= text.length + 64;
    if (room < 0) break;
    const stacks = errorInfo?.map((info) => info?.stack?.slice(0, 2_048) ?? null);
    if (stacks !== undefined) room -= JSON.stringify(stacks).length;
    taken.push(
      `{"level":"${level}","atMs":${timestamp},"message":${text}${stacks === undefined ? "" : `,"stacks":${JSON.stringify(stacks)}`}}`,
    );
  }
  return taken;
}

const thrown = ({ name, message, stack, timestamp }) => ({
  name: name?.slice(0, 256),
  message: message?.slice(0, 4_096),
  stack: stack?.slice(0, 8_192),
  atMs: timestamp,
});

function triggerOf(event) {
  if (event?.request !== undefined) return "fetch";
  if (event?.rpcMethod !== undefined) return `rpc ${event.rpcMethod}`;
  if (event?.cron !== undefined) return "scheduled";
  if (event?.queue !== undefined) return "queue";
  if (event?.scheduledTime !== undefined) return "alarm";
  return "other";
}

/** A Worker asks its objects so often that only what they say is worth a record, of their methods as of their requests. */
const ofObject = (trigger, item) => trigger.startsWith("rpc ") && item.executionModel === "durableObject";

function keep(service, item) {
  const logs = item.logs;
  const exceptions = item.exceptions;
  const trigger = triggerOf(item.event);
  const quiet = logs.length === 0 && exceptions.length === 0 && item.outcome === "ok";
  if (!all && quiet && (trigger === "fetch" || ofObject(trigger, item))) return;
  if (none || kept.length >= MAX_EVENTS || chars >= MAX_CHARS) {
    lost++;
    if (none) wake();
    return;
  }
  const taken = lines(logs);
  const head = JSON.stringify({
    service,
    trigger,
    outcome: item.outcome,
    atMs: item.eventTimestamp,
    ray: item.event?.request?.headers["cf-ray"],
    truncated: item.truncated || taken.length < logs.length,
    exceptions: exceptions.slice(0, 8).map(thrown),
    ...(all && { entrypoint: item.entrypoint ?? undefined, event: item.event }),
  });
  const text = `${head.slice(0, -1)},"logs":[${taken.join(",")}]}`;
  kept.push(text);
  chars += text.length;
  wake();
}

export class Tail extends WorkerEntrypoint {
  tail(items) {
    for (const item of items) keep(this.ctx.props.service, item);
  }
}

/** Nobody wants what is here. */
function forget() {
  lost += kept.length;
  kept = [];
  chars = 0;
}

/** Everything since the last call, at once or when there is something; a later call lets an earlier one go. */
async function take(waitMs, call) {
  wake();
  if (kept.length === 0 && lost === 0 && waitMs > 0) {
    const { promise, resolve } = Promise.withResolvers();
    wake = resolve;
    await Promise.race([promise, scheduler.wait(waitMs)]);
    // Unless a later call waits now.
    if (wake === resolve) wake = () => {};
  }
  if (kept.length + lost > 0) carried.set(call, kept.length + lost);
  if (carried.size > MAX_CARRIED) carried.delete(carried.keys().next().value);
  const body = `{"lost":${lost},"events":[${kept.join(",")}]}`;
  kept = [];
  chars = 0;
  lost = 0;
  return new Response(body);
}

/** An answer that never came took its events with it. */
function miss(calls) {
  for (const call of calls) {
    lost += carried.get(call) ?? 0;
    carried.delete(call);
  }
}

/**
 * Passes a request on to a service of the process as a binding would: `/call/<service>/<entrypoint or ->/<rest>`, the
 * binding's props as JSON in a header. The service sees `http://call/<rest>` and the headers that begin with its mark.
 */
function call(request, env) {
  const url = new URL(request.url);
  const [, , service, entrypoint, ...rest] = url.pathname.split("/");
  const props = JSON.parse(request.headers.get("mayfly-props") ?? "{}");
  const headers = new Headers(request.headers);
  headers.delete("mayfly-props");
  const target = env.PROCESS.current().getEntrypoint(service, entrypoint === "-" ? undefined : entrypoint, props);
  return target.fetch(`http://call/${rest.join("/")}${url.search}`, { method: request.method, headers, body: request.body });
}

/** Runs the scheduled handler of a tenant's service, which PROCESS cannot; the answer is the runtime's own. */
async function schedule(request, env) {
  const { service, cron, scheduledTimeMs } = await request.json();
  const target = env[`service:${service}`];
  if (target === undefined) return new Response("no such service", { status: 404 });
  return Response.json(await target.scheduled({ cron, scheduledTime: new Date(scheduledTimeMs) }));
}

export default {
  fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/ping") return new Response("pong");
    if (pathname.startsWith("/call/")) return call(request, env);
    if (pathname === "/scheduled") return schedule(request, env);
    if (pathname !== "/events") return new Response("no such call", { status: 404 });
    all = searchParams.get("all") === "1";
    none = searchParams.get("quiet") === "1";
    if (none) forget();
    miss(searchParams.getAll("missed"));
    return take(Number(searchParams.get("wait")), searchParams.get("call"));
  },
};
