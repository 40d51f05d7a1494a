// Mounts routes on Hono: token, authorization, refusal in the trail, handler, envelope, in this order.
import { randomBytes } from "node:crypto";
import type { HttpBindings } from "@hono/node-server";
import { Hono, type Context } from "hono";
import { PlatformError } from "../../kernel/errors.ts";
import { ACCOUNT_ID, type AccountId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import { authorize, type Principal } from "../permissions/authorize.ts";
import { failure, reasonPhrase } from "./envelope.ts";
import { refuseNul } from "./nul.ts";
import { known } from "./failures.ts";
import type { Route } from "./routes.ts";

/** Node's request and response; absent where the app is called without a listener. */
export type Env = { Bindings: Partial<HttpBindings> };

export type ApiOptions = {
  readonly routes: readonly Route[];
  /** Finds who holds the secret. @throws PlatformError token_refused */
  readonly lookUp: (secret: string) => Promise<Principal>;
  /** Records that a principal was refused. */
  readonly refused: (principal: Principal, action: string, resource: string, reason: string) => void;
  readonly addressOf: (context: Context<Env>) => string;
  readonly observe: (route: string, status: number, ms: number) => void;
  /** Where /errors is. */
  readonly origin: string;
  readonly log: Log;
};

function bearer(request: Request): string {
  const header = request.headers.get("authorization");
  if (header === null) throw new PlatformError("unauthenticated", { message: "The request carries no token." });
  const match = /^Bearer +([\x21-\x7e]+) *$/i.exec(header);
  if (!match?.[1]) throw new PlatformError("unauthenticated", { message: "Authorization: not of the form `Bearer <token>`." });
  return match[1];
}

async function admit(route: Route, params: Readonly<Record<string, string>>, request: Request, options: ApiOptions) {
  if (route.access.kind === "public" || route.access.kind === "capability") return { principal: null, account: null };
  const principal = await options.lookUp(bearer(request));
  if (route.access.kind === "holder") return { principal, account: null };
  const { action, product, param } = route.access;
  const named = params["account"] ?? principal.account;
  const resource = { account: named as AccountId, product, id: param === null ? "*" : (params[param] ?? "*") };
  const decision = ACCOUNT_ID.test(named)
    ? authorize(principal, action, resource)
    : { allowed: false as const, reason: "other-account" as const };
  if (decision.allowed) return { principal, account: resource.account };
  options.refused(principal, action, `${product}/${resource.id}`, decision.reason);
  if (decision.reason === "other-account") {
    throw new PlatformError("account_not_found", { message: "account: this token knows no such account." });
  }
  throw new PlatformError("forbidden", { message: `This token does not hold ${action} on ${product}/${resource.id}.` });
}

/** Turns whatever was thrown into an answer; bugs are logged whole and shown as an id only. */
function render(thrown: unknown, context: Context<Env>, ray: string, { log, origin }: ApiOptions): Response {
  const error = known(thrown);
  if (error.status >= 500) log.error({ err: error.cause ?? error, detail: error.detail, ray, code: error.code }, error.message);
  else log.debug({ ray, code: error.code, detail: error.detail }, error.message);
  // The Node adapter drops statusText, and wrangler prints nothing else of a failed admission.
  if (context.env.outgoing) context.env.outgoing.statusMessage = reasonPhrase(error);
  return failure(error, origin);
}

function decoded(params: Readonly<Record<string, string>>): Record<string, string> {
  let names: Record<string, string>;
  try {
    names = Object.fromEntries(Object.entries(params).map(([name, value]) => [name, decodeURIComponent(value)]));
  } catch (cause) {
    throw new PlatformError("invalid_input", { message: "path: not valid percent-encoding.", cause });
  }
  refuseNul(names, "path");
  return names;
}

/** The API below /client/v4. */
export function createApi(options: ApiOptions): Hono<Env> {
  const app = new Hono<Env>({ strict: false });
  const serve = (route: Route) => async (context: Context<Env>) => {
    const ray = `${randomBytes(8).toString("hex")}-MAY`;
    const startedAt = performance.now();
    let response: Response;
    try {
      const params = decoded(rawParams(context, route.path));
      const admitted = await admit(route, params, context.req.raw, options);
      response = await route.handle({
        request: context.req.raw,
        url: new URL(context.req.url),
        params,
        address: options.addressOf(context),
        hangUp: () => {
          const { outgoing } = context.env;
          if (outgoing && !outgoing.writableFinished) outgoing.destroy();
        },
        ...admitted,
      });
    } catch (error) {
      response = render(error, context, ray, options);
    }
    // Hono calls a GET's handler for HEAD and forgets the body: a stream would go on with nobody to end it.
    if (context.req.method === "HEAD" && response.body) {
      await response.body.cancel();
      response = new Response(null, response);
    }
    response.headers.set("cf-ray", ray);
    options.observe(`${route.method} ${route.path}`, response.status, performance.now() - startedAt);
    return response;
  };
  for (const route of options.routes) app.on(route.method, route.path, serve(route));
  app.all("*", (context) => {
    const path = new URL(context.req.url).pathname.replace(/^\/client\/v4/, "");
    const methods = options.routes.filter((route) => matches(route.path, path)).map((route) => route.method);
    const error =
      methods.length > 0
        ? new PlatformError("method_not_allowed", { message: `${context.req.method} is not allowed here; ${methods.join(", ")} is.` })
        : new PlatformError("route_not_found", { message: `There is no ${context.req.method} ${path}.` });
    const response = render(error, context, "-", options);
    if (methods.length > 0) response.headers.set("allow", [...new Set(methods)].join(", "));
    return response;
  });
  return app;
}

function matches(pattern: string, path: string): boolean {
  const [want, have] = [pattern.split("/"), path.split("/")];
  return want.length === have.length && want.every((part, at) => part.startsWith(":") || part === have[at]);
}

/** Parameters still percent-encoded: a name may hold an encoded slash, which Hono would have decoded once already. */
function rawParams(context: Context<Env>, pattern: string): Record<string, string> {
  const path = new URL(context.req.url).pathname.replace(/^\/client\/v4/, "").split("/");
  const params: Record<string, string> = {};
  for (const [at, part] of pattern.split("/").entries()) if (part.startsWith(":")) params[part.slice(1)] = path[at] ?? "";
  return params;
}
