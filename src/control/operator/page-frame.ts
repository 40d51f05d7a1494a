// The frame of every operator's page: who may see it, how it looks, and which refusals are mended on it.
import { PlatformError } from "../../kernel/errors.ts";
import { renderPage, type Html } from "../http/page.ts";
import type { Operator } from "../http/routes.ts";
import type { PageRoute, Visit } from "../http/site.ts";
import type { People } from "../people/people.ts";
import type { Person } from "../people/person.ts";
import type { OperatorKeys } from "./operator-keys.ts";
import type { OperatorDesk } from "./routes.ts";

export type PagesDesk = OperatorDesk & { readonly people: Pick<People, "session">; readonly keyring: OperatorKeys; readonly url: URL };

/** A page for one who runs this installation. */
export type OperatorPage = (visit: Visit, person: Person, by: Operator) => Promise<Response>;

/** The route of a page that exists for operators alone. */
export function forOperators(desk: Pick<PagesDesk, "people">, method: "GET" | "POST", path: `/${string}`, page: OperatorPage): PageRoute {
  return {
    method,
    path,
    handle: async (visit) => {
      const person = await desk.people.session(visit.headers);
      if (person?.role !== "operator") {
        const asked = path.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(visit.params[name] ?? ""));
        throw new PlatformError("route_not_found", { message: `There is nothing at ${asked.slice(0, 100)}.`, next: "Check the address." });
      }
      return page(visit, person, { person: person.id, key: null });
    },
  };
}

export function show(title: string, body: Html, person: Person, error?: PlatformError): Promise<Response> {
  const { status = 200, retryAfterSeconds } = error ?? {};
  return renderPage({ title, body, wide: true, status, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) }, person);
}

const MENDABLE: ReadonlySet<PlatformError["code"]> = new Set(["invalid_input", "precondition_failed"]);

/** What of an error a reader can mend on the page that they sent; anything else goes on as it is. */
export function mendable(error: unknown, codes: ReadonlySet<PlatformError["code"]> = MENDABLE): PlatformError {
  if (error instanceof PlatformError && codes.has(error.code)) return error;
  throw error;
}
