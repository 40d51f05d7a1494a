// What answers on the control port: the API, the pages, health and figures, each behind its own check of the Host.
import { Hono, type Context } from "hono";
import type { CapsuleHost } from "../capsule/messages.ts";
import { PlatformError } from "../kernel/errors.ts";
import type { Log } from "../kernel/log.ts";
import { completeHeaders } from "./http/answer-headers.ts";
import type { Env } from "./http/api.ts";
import { failure } from "./http/envelope.ts";
import { errorTable } from "./http/error-table.ts";
import { known, newRay } from "./http/failures.ts";
import { refuseLeaked, type EndLeaked } from "./http/leaked.ts";
import type { Metrics } from "./http/metrics.ts";
import { checkApiHost, checkApiOrigin } from "./http/origin.ts";
import { errorPage } from "./http/site.ts";

export type AppOptions = {
  readonly api: Hono<Env>;
  readonly pages: Hono<Env>;
  readonly host: Pick<CapsuleHost, "status" | "prometheus">;
  readonly metrics: Metrics;
  readonly url: URL;
  readonly databaseAnswers: () => Promise<boolean>;
  readonly endLeaked: EndLeaked;
  readonly log: Log;
};

/** Paths that programs ask for; all others are pages. */
const FOR_PROGRAMS = /^\/(client|healthz|metrics|errors)(\/|$)/;

const LOOPBACK_PEER = /^(127\.|::1$|::ffff:127\.)/;
/** By which a proxy says that somebody else is asking. */
const FORWARDED = ["x-forwarded-for", "x-real-ip", "forwarded", "via"];

/** Whether a program on this machine asks for itself. */
function isLocal(context: Context<Env>): boolean {
  const peer = context.env.incoming?.socket.remoteAddress ?? "";
  return LOOPBACK_PEER.test(peer) && FORWARDED.every((name) => context.req.header(name) === undefined);
}

/** The refusal, if one of the checks has one. */
function refusal(context: Context<Env>, url: URL, ...checks: readonly ((headers: Headers, url: URL) => void)[]): Response | undefined {
  try {
    for (const check of checks) check(context.req.raw.headers, url);
    return undefined;
  } catch (error) {
    if (error instanceof PlatformError) return failure(error, url.origin);
    throw error;
  }
}

/** What a failure is told as, to a program or a person; bugs are logged, in the log that knows what to leave out. */
async function told(context: Context<Env>, { url, log }: Pick<AppOptions, "url" | "log">, thrown: unknown): Promise<Response> {
  const [error, ray] = [known(thrown), newRay()];
  if (error.status >= 500) log.error({ err: error.cause ?? error, ray, code: error.code }, error.message);
  const response = FOR_PROGRAMS.test(context.req.path) ? failure(error, url.origin) : await errorPage(error, url);
  response.headers.set("cf-ray", ray);
  return response;
}

/** The refusal of a request whose address holds a secret: before any other part sees the address. */
async function leaked(context: Context<Env>, options: AppOptions): Promise<Response | undefined> {
  try {
    await refuseLeaked(context.env.incoming?.url ?? context.req.url, context.req.header("referer"), options.endLeaked);
    return undefined;
  } catch (thrown) {
    return told(context, options, thrown);
  }
}

/** @param whole versions, counts and what the sandbox lacks: the operator's to know */
async function health(options: AppOptions, whole: boolean): Promise<Response> {
  const database = await options.databaseAnswers();
  const host = await options.host.status().catch(() => null);
  const ok = database && host !== null;
  const body = {
    status: ok ? "ok" : "degraded",
    database: database ? "ok" : "does not answer",
    host:
      host === null
        ? "does not answer"
        : { sandbox: host.rung, ...(whole && { missing: host.missing, workerd: host.workerd, hot: host.hot, known: host.known }) },
  };
  return Response.json(body, { status: ok ? 200 : 503, headers: { "cache-control": "no-store" } });
}

export function createApp(options: AppOptions): Hono<Env> {
  const app = new Hono<Env>();
  app.onError((error, context) => told(context, options, error));
  app.use("*", async (context, next) => {
    const refused = await leaked(context, options);
    if (refused) context.res = refused;
    else await next();
    completeHeaders(context.res.headers, context.req.path.startsWith("/client/"));
  });
  app.use("/client/v4/*", async (context, next) => refusal(context, options.url, checkApiHost, checkApiOrigin) ?? (await next()));
  app.route("/client/v4", options.api);
  app.get("/healthz", (context) => refusal(context, options.url, checkApiHost) ?? health(options, isLocal(context)));
  app.get("/metrics", async (context) => {
    // Figures are the operator's: only from this machine, and not through a proxy that forwards for others.
    if (!isLocal(context)) return context.notFound();
    // A name of a stranger's that resolves to this machine is no way in for pages of theirs.
    const elsewhere = refusal(context, options.url, checkApiHost);
    if (elsewhere) return elsewhere;
    const host = await options.host.prometheus().catch(() => "");
    return context.text((await options.metrics.text()) + host, 200, { "content-type": "text/plain; version=0.0.4" });
  });
  app.get("/errors", (context) =>
    context.text(errorTable(), 200, { "cache-control": "public, max-age=3600", "x-content-type-options": "nosniff" }),
  );
  app.route("/", options.pages);
  return app;
}
