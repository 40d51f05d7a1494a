// Every route of Workers; no SQL here or in the files that this one gathers.
import type { Route } from "../../http/routes.ts";
import type { ProductContext } from "../product.ts";
import { cronRoutes } from "./crons-routes.ts";
import { wholeRoutes } from "./scripts-routes.ts";
import { secretRoutes } from "./secrets-routes.ts";
import { settingsRoutes } from "./settings-routes.ts";
import { versionRoutes } from "./versions-routes.ts";

/** @param context of the product */
export function workerRoutes(context: ProductContext): Route[] {
  return [...versionRoutes(context), ...secretRoutes(context), ...settingsRoutes(context), ...wholeRoutes(context), ...cronRoutes(context)];
}
