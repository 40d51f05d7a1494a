// Every route of the API as data: what it may be called for stands beside its path, and the one place that
// looks tokens up, authorizes, records refusals and renders errors is here. A route without access does not compile.
import type { AccountId } from "../../kernel/ids.ts";
import type { Action, ProductName } from "../permissions/actions.ts";
import type { Principal } from "../permissions/authorize.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export type Call = {
  readonly request: Request;
  readonly url: URL;
  /** Percent-decoded path parameters. */
  readonly params: Readonly<Record<string, string>>;
  /** Address of the caller, behind trusted proxies the one they report. */
  readonly address: string;
  /** Cuts the connection unless the whole answer has left: for an answer that is a stream and must not go on. */
  readonly hangUp: () => void;
};

/** A call by the holder of a live token. */
export type HolderCall = Call & { readonly principal: Principal };
/** A call on the token's own account, authorized for the route's action. */
export type AccountCall = HolderCall & { readonly account: AccountId };

/** Who calls with an operator's key. */
export type Operator = {
  /** Id of the person whose key it is. */
  readonly person: string;
  /** Id of the key; null for a person on a page. */
  readonly key: string | null;
};
/** A call with an operator's key. */
export type OperatorCall = Call & { readonly operator: Operator };

export type Access =
  /** Anyone; `why` is printed in the table of routes. */
  | { readonly kind: "public"; readonly why: string }
  /** The handler checks a signed capability of one purpose itself. */
  | { readonly kind: "capability"; readonly why: string }
  /** Any live token, about itself. */
  | { readonly kind: "holder"; readonly why: string }
  | { readonly kind: "action"; readonly action: Action; readonly product: ProductName; readonly param: string | null }
  /** An operator's key, and no account's token; `full`: one that only reads is refused. */
  | { readonly kind: "operator"; readonly full: boolean; readonly why: string };

export type Route = {
  readonly method: Method;
  /** Below /client/v4, parameters as `:name`. */
  readonly path: string;
  readonly access: Access;
  readonly handle: (call: Call & Admitted) => Promise<Response>;
};

/** Who was let in: nobody in particular, a token's holder, or an operator. */
export type Admitted = {
  readonly principal: Principal | null;
  readonly account: AccountId | null;
  readonly operator?: Operator;
};

export function publicRoute(method: Method, path: string, why: string, handle: (call: Call) => Promise<Response>): Route {
  return { method, path, access: { kind: "public", why }, handle };
}

export function capabilityRoute(method: Method, path: string, why: string, handle: (call: Call) => Promise<Response>): Route {
  return { method, path, access: { kind: "capability", why }, handle };
}

export function holderRoute(method: Method, path: string, why: string, handle: (call: HolderCall) => Promise<Response>): Route {
  return {
    method,
    path,
    access: { kind: "holder", why },
    handle: (call) => handle({ ...call, principal: present(call.principal) }),
  };
}

type AccountAccess = {
  readonly action: Action;
  readonly product: ProductName;
  /** The path parameter that names the resource; null for the product as a whole. */
  readonly param?: string;
};

/** @param path begins with /accounts/:account, or is one that is about the token's own account */
export function accountRoute(
  method: Method,
  path: `/accounts/:account${string}` | "/graphql",
  access: AccountAccess,
  handle: (call: AccountCall) => Promise<Response>,
): Route {
  return {
    method,
    path,
    access: { kind: "action", action: access.action, product: access.product, param: access.param ?? null },
    handle: (call) => handle({ ...call, principal: present(call.principal), account: present(call.account) }),
  };
}

/** @param needs `full` for whatever changes something */
export function operatorRoute(
  method: Method,
  path: `/operator/${string}`,
  needs: "read" | "full",
  handle: (call: OperatorCall) => Promise<Response>,
): Route {
  const full = needs === "full";
  const why = full ? "a full key" : "any operator's key";
  return {
    method,
    path,
    access: { kind: "operator", full, why },
    handle: (call) => handle({ ...call, operator: present(call.operator ?? null) }),
  };
}

function present<T>(value: T | null): T {
  if (value === null) throw new Error("A route that needs a token was reached without one");
  return value;
}
