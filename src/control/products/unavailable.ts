// Products that clients ask for in a deploy but that are not there yet: each path says so, with what to do. Never
// 403: wrangler takes that for a permission and turns the binding into one that inherits.
import { PlatformError } from "../../kernel/errors.ts";
import { accountRoute, type Method, type Route } from "../http/routes.ts";
import type { Action, ProductName } from "../permissions/actions.ts";
import { NOTHING, type Product } from "./product.ts";

type Asked = readonly [Method, `/accounts/:account${string}`, Action];

/** @param title the product as a person calls it @param asked routes that answer `product_unavailable` */
export function unavailable(name: ProductName, title: string, asked: readonly Asked[] = []): Product {
  const refuse = (): never => {
    throw new PlatformError("product_unavailable", {
      message: `${title}: not there yet in this installation.`,
      next: "Remove its bindings from the configuration and deploy again; README.md lists the products that work.",
    });
  };
  const route = ([method, path, action]: Asked): Route => accountRoute(method, path, { action, product: name }, refuse);
  return {
    name,
    routes: asked.map(route),
    resolve: () => Promise.resolve(null),
    bind: refuse,
    referencedBy: () => Promise.resolve([]),
    compose: () => Promise.resolve(NOTHING),
    teardown: () => Promise.resolve({ removed: 0 }),
  };
}
