// The pages' counterpart of api.ts: host, origin, form, handler, error page, in this order, for every page alike.
import { Hono, type Context } from "hono";
import { html } from "hono/html";
import { PlatformError } from "../../kernel/errors.ts";
import type { Log } from "../../kernel/log.ts";
import type { Env } from "./api.ts";
import { readBytes } from "./body.ts";
import { refuseNul } from "./nul.ts";
import { known, newRay } from "./failures.ts";
import { checkHost, checkOrigin } from "./origin.ts";
import { icon, renderPage } from "./page.ts";

// Two thousand characters, the longest of which are written as twelve, and what is beside them.
const FORM_MAX_BYTES = 32_768;
const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(;|$)/i;

export type Visit = {
  readonly headers: Headers;
  /** Fields of the form; of a name that comes twice the first. Empty for GET. */
  readonly form: Readonly<Record<string, string>>;
  /** Percent-decoded path parameters. */
  readonly params: Readonly<Record<string, string>>;
  /** The caller's address. */
  readonly address: string;
  /** Fields of the address, of a name that comes twice the first. */
  readonly query: Readonly<Record<string, string>>;
};

export type PageRoute = {
  readonly method: "GET" | "POST";
  /** Parameters as `:name`. */
  readonly path: `/${string}`;
  readonly handle: (visit: Visit) => Promise<Response>;
};

export type SiteOptions = {
  readonly routes: readonly PageRoute[];
  readonly url: URL;
  readonly addressOf: (context: Context<Env>) => string;
  /** @throws PlatformError address_banned unless the session is one that a ban does not touch */
  readonly refuseBanned?: (address: string, headers: Headers) => Promise<void>;
  readonly log: Log;
};

async function readForm(request: Request): Promise<Record<string, string>> {
  if (!FORM_TYPE.test(request.headers.get("content-type") ?? "")) {
    throw new PlatformError("unsupported_media_type", { message: "Content-Type: must be application/x-www-form-urlencoded." });
  }
  return fieldsOf(new URLSearchParams(new TextDecoder().decode(await readBytes(request, FORM_MAX_BYTES))));
}

function fieldsOf(given: URLSearchParams): Record<string, string> {
  const fields: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of given) fields[name] ??= value;
  return fields;
}

const TITLES: Partial<Record<PlatformError["code"], string>> = {
  wrong_host: "Not at this address",
  token_in_url: "A token in the address",
  link_in_url: "A secret in the address",
  cross_site: "This form came from elsewhere",
  route_not_found: "There is no such page",
  account_not_found: "There is no such account",
  address_banned: "Calls from your network are refused",
  method_not_allowed: "There is no such page",
  too_many_tries: "Too many tries",
  store_failed: "Not possible at the moment",
  unexpected: "Something went wrong",
};

/** The page that says what was refused or failed, and what to do. */
export function errorPage(error: PlatformError, url: URL): Promise<Response> {
  const title = TITLES[error.code] ?? "That did not work";
  const link = error.code === "wrong_host" ? html`<p><a href="${url.origin}/">${url.origin}</a></p>` : html`<p><a href="/">Home</a></p>`;
  return renderPage({
    title,
    status: error.status,
    body: html`<h1>${title}</h1>
      <p class="lead" role="alert">${error.message}</p>
      <p>${error.next}</p>
      ${link}`,
    ...(error.retryAfterSeconds !== undefined && { retryAfterSeconds: error.retryAfterSeconds }),
  });
}

/** The pages at the root of the public origin; to be mounted after everything else. */
export function createSite({ routes, url, addressOf, refuseBanned, log }: SiteOptions): Hono<Env> {
  const app = new Hono<Env>();
  const answer = async (context: Context<Env>, work: (request: Request) => Promise<Response>): Promise<Response> => {
    const ray = newRay();
    const request = context.req.raw;
    let response: Response;
    try {
      checkHost(request.headers, url);
      if (request.method !== "GET" && request.method !== "HEAD") checkOrigin(request.headers, url);
      await refuseBanned?.(addressOf(context), request.headers);
      response = await work(request);
    } catch (thrown) {
      const error = known(thrown);
      if (error.status >= 500) log.error({ err: error.cause ?? error, ray, code: error.code }, error.message);
      else log.debug({ ray, code: error.code }, error.message);
      response = await errorPage(error, url);
    }
    response.headers.set("cf-ray", ray);
    return response;
  };
  for (const route of routes) {
    app.on(route.method, route.path, (context) =>
      answer(context, async (request) => {
        const params = context.req.param();
        refuseNul(params, "path");
        const form = route.method === "POST" ? await readForm(request) : {};
        refuseNul(form);
        const query = fieldsOf(new URL(request.url).searchParams);
        refuseNul(query, "query");
        return route.handle({ headers: request.headers, params, form, query, address: addressOf(context) });
      }),
    );
  }
  app.get("/icon.svg", () => icon());
  app.all("*", (context) =>
    answer(context, () => {
      throw new PlatformError("route_not_found", {
        message: `There is nothing at ${new URL(context.req.url).pathname.slice(0, 100)}.`,
        next: "Check the address.",
      });
    }),
  );
  return app;
}
