// Everything that a token can be allowed to do. An action belongs to the account or to one product.

export const PRODUCTS = [
  "account",
  "workers",
  "assets",
  "kv",
  "d1",
  "durable-objects",
  "queues",
  "r2",
  "analytics",
  "secrets-store",
  "rate-limits",
] as const;
export type ProductName = (typeof PRODUCTS)[number];

export const ACTIONS = [
  "account:read",
  "account:end",
  "trail:read",
  "logs:read",
  "tokens:write",
  "members:write",
  "workers:read",
  "workers:write",
  "assets:write",
  "kv:read",
  "kv:write",
  "d1:read",
  "d1:write",
  "durable-objects:read",
  "queues:read",
  "r2:read",
  "analytics:read",
  "secrets-store:read",
  "secrets-store:write",
] as const;
export type Action = (typeof ACTIONS)[number];

/** What an agent's temporary token may do: the supported products, and no tokens, members or accounts. */
export const AGENT_ACTIONS: readonly Action[] = ACTIONS.filter((action) => action !== "tokens:write" && action !== "members:write");

/** What the token of an account's owner may do. */
export const OWNER_ACTIONS: readonly Action[] = ACTIONS;

export type Grant = "everything" | "deploy" | "read";

/** The steps in which an owner chooses what a token of theirs may do. */
export const GRANTS: Readonly<Record<Grant, readonly Action[]>> = {
  everything: OWNER_ACTIONS,
  deploy: AGENT_ACTIONS.filter((action) => action !== "account:end"),
  read: ACTIONS.filter((action) => action.endsWith(":read")),
};
