// Mounts routes on Hono: token, authorization, refusal in the trail, handler, envelope, in this order.
import type { HttpBindings } from "@hono/node-server";
import { Hono, type Context } from "hono";
import { PlatformError } from "../../kernel/errors.ts";
import { ACCOUNT_ID, isSecret, type AccountId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import { authorize, type Principal } from "../permissions/authorize.ts";
import { failure, reasonPhrase } from "./envelope.ts";
import { refuseNul } from "./nul.ts";
import { known, newRay } from "./failures.ts";
import type { Admitted, Operator, Route } from "./routes.ts";

/** Node's request and response; absent where the app is called without a listener. */
export type Env = { Bindings: Partial<HttpBindings> };

export type ApiOptions = {
  readonly routes: readonly Route[];
  /** Finds who holds the secret. @throws PlatformError token_refused */
  readonly lookUp: (secret: string) => Promise<Principal>;
  /** Records that a principal was refused. */
  readonly refused: (principal: Principal, action: string, resource: string, reason: string) => void;
  readonly addressOf: (context: Context<Env>) => string;
  /** Absent where nothing is known of operators: their routes are refused then. */
  readonly operators?: {
    /** Finds whose operator's key the secret is. @throws PlatformError operator_key_refused, forbidden where a full one is needed */
    lookUp(secret: string, needs: { readonly full: boolean; readonly route: string }): Promise<Operator>;
    /** @throws PlatformError address_banned */
    refuseBanned(address: string): void;
  };
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

const NOBODY: Admitted = { principal: null, account: null };

async function admitOperator(route: Route, full: boolean, secret: string, options: ApiOptions): Promise<Admitted> {
  if (isSecret("mft", secret)) {
    throw new PlatformError("forbidden", {
      message: "An account's token opens none of the operator's routes.",
      next: "Use an operator's key, made at /operations/keys.",
    });
  }
  if (!options.operators) throw new Error("An operator's route was mounted where no operator is known");
  return { ...NOBODY, operator: await options.operators.lookUp(secret, { full, route: `${route.method} ${route.path}` }) };
}

async function admit(
  route: Route,
  params: Readonly<Record<string, string>>,
  { request, address }: { readonly request: Request; readonly address: string },
  options: ApiOptions,
): Promise<Admitted> {
  // An operator with a key is never locked out, wherever they are.
  if (route.access.kind === "operator") return admitOperator(route, route.access.full, bearer(request), options);
  options.operators?.refuseBanned(address);
  if (route.access.kind === "public" || route.access.kind === "capability") return NOBODY;
  const secret = bearer(request);
  if (isSecret("mfk", secret)) {
    throw new PlatformError("forbidden", {
      message: "An operator's key opens the operator's routes and no account's.",
      next: "Use a token of the account.",
    });
  }
  const principal = await options.lookUp(secret);
  if (route.access.kind === "holder") return { ...NOBODY, principal };
  const { action, product, param } = route.access;
  const named = params["account"] ?? principal.account;
  const resource = { account: named as AccountId, product, id: param === null ? "*" : (params[param] ?? "*") };
  const decision = ACCOUNT_ID.test(named)
    ? authorize(principal, action, resource)
    : { allowed: false as const, reason: "other-account" as const };
  if (decision.allowed) return { ...NOBODY, principal, account: resource.account };
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
    const ray = newRay();
    const startedAt = performance.now();
    let response: Response;
    try {
      const params = decoded(rawParams(context, route.path));
      const address = options.addressOf(context);
      const admitted = await admit(route, params, { request: context.req.raw, address }, options);
      response = await route.handle({
        request: context.req.raw,
        url: new URL(context.req.url),
        params,
        address,
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
        : new PlatformError("route_not_found", { message: `There is no ${context.req.method} ${path.slice(0, 200)}.` });
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
