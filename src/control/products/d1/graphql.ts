// The analytics query that `wrangler d1 info` and `insights` (and `r2 bucket info`) send. No figures are kept of what
// ran, so every group that is asked for is there and empty; what else a GraphQL server does is refused by name.
import { z } from "zod";
import { accountRoute, type Route } from "../../http/routes.ts";
import { readBody } from "./contract.ts";

const BODY_MAX_BYTES = 65_536;
const body = z.looseObject({ query: z.string(), variables: z.looseObject({ accountTag: z.string().optional() }).nullish() });

/** GraphQL's own form, without an envelope. */
const answer = (value: { readonly data: unknown; readonly errors: { readonly message: string }[] | null }): Response =>
  Response.json(value, { headers: { "cache-control": "no-store" } });

const refuse = (message: string): Response => answer({ data: null, errors: [{ message }] });

export const graphqlRoute: Route = accountRoute("POST", "/graphql", { action: "d1:read", product: "d1" }, async (call) => {
  const { query, variables } = await readBody(call.request, body, BODY_MAX_BYTES);
  if (variables?.accountTag !== undefined && variables.accountTag !== call.account)
    return refuse("variables.accountTag: this token knows no such account.");
  const groups = [...query.matchAll(/\b\w+AdaptiveGroups\b/g)].map(([name]) => [name, []] as const);
  if (groups.length === 0)
    return refuse("query: this installation answers for groups named …AdaptiveGroups alone, and keeps no figures for them.");
  return answer({ data: { viewer: { accounts: [Object.fromEntries(groups)] } }, errors: null });
});
