// The binding `ratelimit`: so many uses of a key in a window of 10 or 60 seconds. Bindings of the account with one
// namespace_id and period share their counts, each with its own limit.
import { z } from "zod";
import { ownService, type BindingKind } from "../product.ts";

const SERVICE = "rate-limits";
const LIMIT_MAX = 1_000_000_000;

const fields = z.object({
  /** Clients send a number or its text. */
  namespace_id: z.union([z.string().regex(/^[0-9]{1,20}$/, "is not a whole number"), z.number().int().min(0)]).transform(String),
  simple: z.object({
    limit: z.number().int("is not a whole number").min(1).max(LIMIT_MAX),
    period: z.union([z.literal(10), z.literal(60)], "must be 10 or 60 seconds"),
  }),
});

export const rateLimitBinding: BindingKind = {
  type: "ratelimit",
  fields,
  // Nothing stands behind it but the process that counts.
  settle: () => Promise.resolve(null),
  compose: () =>
    Promise.resolve((given) => {
      const { namespace_id: namespace, simple } = fields.parse(given);
      return { kind: "service", service: SERVICE, entrypoint: "RateLimit", props: JSON.stringify({ namespace, ...simple }) };
    }),
  services: [ownService(SERVICE)],
  describe: () => "The rate limit",
};
