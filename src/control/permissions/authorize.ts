// The one place that decides. Pure: principal, action and resource in, decision out.
import { z } from "zod";
import type { AccountId } from "../../kernel/ids.ts";
import { ACTIONS, PRODUCTS, type Action, type ProductName } from "./actions.ts";

/** A thing in an account: `id` is the product's own name for it, `*` the product as a whole. */
export type Resource = { readonly account: AccountId; readonly product: ProductName; readonly id: string };

/** An action on a resource. Conditions are kept in the row from the start; one that this code does not know denies. */
export const permission = z.object({
  action: z.enum(ACTIONS),
  resource: z.object({ product: z.enum([...PRODUCTS, "*"]), id: z.string() }),
  conditions: z.array(z.object({ kind: z.string() }).loose()).default([]),
});
export type Permission = z.infer<typeof permission>;

export type Principal = {
  /** `agent`: the token that came with the account; `person`: one made for its owner; `operator`: runs the installation. */
  readonly kind: "agent" | "person" | "operator";
  readonly account: AccountId;
  readonly token: string;
  /** Ids of the tokens this one was narrowed from, nearest first. */
  readonly lineage: readonly string[];
  /** Who acts, outermost first: the person, then the agent. */
  readonly actors: readonly string[];
  readonly task: string | null;
  /** The account's epoch under which the token is valid. */
  readonly epoch: number;
  readonly expiresAtMs: number | null;
  readonly permissions: readonly Permission[];
};

export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly reason: "other-account" | "no-permission" };

const covers = (granted: Permission, action: Action, resource: Resource): boolean =>
  granted.action === action &&
  granted.conditions.length === 0 &&
  (granted.resource.product === "*" || granted.resource.product === resource.product) &&
  (granted.resource.id === "*" || granted.resource.id === resource.id);

/** Whether the principal may do the action on the resource; what is not granted is denied. */
export function authorize(principal: Principal, action: Action, resource: Resource): Decision {
  if (principal.account !== resource.account) return { allowed: false, reason: "other-account" };
  return principal.permissions.some((granted) => covers(granted, action, resource))
    ? { allowed: true }
    : { allowed: false, reason: "no-permission" };
}

/** Permissions for the actions on everything in the account. */
export function onWholeAccount(actions: readonly Action[]): Permission[] {
  return actions.map((action) => ({ action, resource: { product: "*", id: "*" }, conditions: [] }));
}
