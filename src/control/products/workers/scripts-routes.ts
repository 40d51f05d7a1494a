// A Worker as a whole: lists, what the clients ask before a deploy and after it, its place on the account's
// subdomain, and its end.
import { PlatformError } from "../../../kernel/errors.ts";
import { readJson } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { accountRoute, type AccountCall, type Route } from "../../http/routes.ts";
import { noWorker, type ProductContext } from "../product.ts";
import { referencesOnWire, scriptOnWire, serviceOnWire, subdomainOnWire, workerOnWire } from "./answers.ts";
import { accountSubdomainBody, scriptSubdomainBody } from "./contract.ts";
import { deleteWorkersTriggers } from "./crons-store.ts";
import { deed, presentWorker, record, route } from "./deeds.ts";
import { objectReferences, removeObjects } from "./objects.ts";
import { callersOf } from "./callers.ts";
import { primaryOf, type Version, type Worker } from "./model.ts";
import { labelOf } from "./names.ts";
import { announcesPreviews, previewUrlSuffix } from "./previews.ts";
import * as store from "./store.ts";

const WORKERS = "/accounts/:account/workers" as const;
const SCRIPT = `${WORKERS}/scripts/:script` as const;
const READ = { action: "workers:read", product: "workers", param: "script" } as const;
const WRITE = { action: "workers:write", product: "workers", param: "script" } as const;
const READ_ALL = { action: "workers:read", product: "workers" } as const;

type Found = { readonly worker: Worker; readonly version: Version };

async function find(context: ProductContext, call: AccountCall): Promise<Found> {
  const { db } = context.store;
  const script = call.params["script"] ?? "";
  const worker = await store.findWorker(db, context.keys, call.account, script);
  const version = worker && (await store.findVersion(db, context.keys, worker, primaryOf(worker.traffic)));
  if (!worker || !version) throw noWorker(script);
  return { worker, version };
}

async function remove(context: ProductContext, call: AccountCall): Promise<Response> {
  await deed(context, call.principal, async (doing) => {
    const worker = await presentWorker(doing, call.params["script"] ?? "");
    await removeObjects(context, doing.tx, call.principal, worker, call.url.searchParams.get("force") === "true");
    await store.deleteWorker(doing.tx, worker);
    await deleteWorkersTriggers(doing.tx, worker.id);
    await record(doing, "workers:delete", `workers/${worker.name}`);
  });
  return success(null);
}

async function setSubdomain(context: ProductContext, call: AccountCall): Promise<Response> {
  const sent = await readJson(call.request, scriptSubdomainBody);
  const { worker, announced } = await deed(context, call.principal, async (doing) => {
    const known = await presentWorker(doing, call.params["script"] ?? "");
    const worker = await route(doing, known, { enabled: sent.enabled, previews: sent.previews_enabled ?? sent.enabled });
    return { worker, announced: announcesPreviews(context.edge, worker, doing.account.subdomain) };
  });
  return success(subdomainOnWire(worker, announced));
}

function scriptRoutes(context: ProductContext): Route[] {
  const { db } = context.store;
  return [
    accountRoute("GET", `${WORKERS}/scripts`, READ_ALL, async (call) => {
      const workers = await store.listWorkers(db, context.keys, call.account);
      const versions = await store.primaryVersions(db, context.keys, call.account, workers);
      return success(
        workers.flatMap((worker) => {
          const version = versions.get(worker.id);
          return version ? [scriptOnWire(worker, version)] : [];
        }),
      );
    }),
    accountRoute("GET", SCRIPT, READ, async (call) => {
      await find(context, call);
      throw new PlatformError("product_unavailable", {
        message: "Code cannot be downloaded here yet.",
        next: "GET the Worker's settings or versions for what it is made of.",
      });
    }),
    accountRoute("DELETE", SCRIPT, WRITE, (call) => remove(context, call)),
    accountRoute("GET", `${WORKERS}/services/:script`, READ, async (call) => {
      const { worker, version } = await find(context, call);
      return success(serviceOnWire(worker, version));
    }),
    accountRoute("DELETE", `${WORKERS}/services/:script`, WRITE, (call) => remove(context, call)),
    accountRoute("GET", `${WORKERS}/workers/:script`, READ, async (call) => {
      const { worker } = await find(context, call);
      const subdomain = await store.subdomainOf(db, call.account);
      const suffix = announcesPreviews(context.edge, worker, subdomain) ? previewUrlSuffix(context.edge, worker, subdomain) : null;
      return success(workerOnWire(worker, context.edge.urlOf(labelOf(worker.name, subdomain)), suffix));
    }),
    accountRoute("GET", `${SCRIPT}/references`, READ, async (call) => {
      const { worker } = await find(context, call);
      const callers = await callersOf(db, context.keys, call.account, worker.name);
      return success(referencesOnWire(worker.name, callers, await objectReferences(context, db, call.account, worker)));
    }),
    accountRoute("GET", `${WORKERS}/tails/by-consumer/:script`, READ, () => Promise.resolve(success([]))),
    // No upload with containers is taken, so there are none: wrangler asks before it deletes a Worker that has objects.
    accountRoute("GET", "/accounts/:account/containers/applications", READ_ALL, () => Promise.resolve(success([]))),
  ];
}

function subdomainRoutes(context: ProductContext): Route[] {
  const own = (call: AccountCall) => store.subdomainOf(context.store.db, call.account);
  return [
    accountRoute("GET", `${SCRIPT}/subdomain`, READ, async (call) => {
      const { worker } = await find(context, call);
      return success(subdomainOnWire(worker, announcesPreviews(context.edge, worker, await own(call))));
    }),
    accountRoute("POST", `${SCRIPT}/subdomain`, WRITE, (call) => setSubdomain(context, call)),
    accountRoute("GET", `${WORKERS}/subdomain`, READ_ALL, async (call) => success({ subdomain: await own(call) })),
    accountRoute("PUT", `${WORKERS}/subdomain`, { action: "workers:write", product: "workers" }, async (call) => {
      const { subdomain } = await readJson(call.request, accountSubdomainBody);
      if (subdomain === (await own(call))) return success({ subdomain });
      throw new PlatformError("subdomain_taken", {
        message: "subdomain: every account here has one from birth, and it does not change.",
      });
    }),
    accountRoute("GET", `${WORKERS}/subdomains/:name`, READ_ALL, () => {
      throw new PlatformError("subdomain_taken", { message: "name: subdomains cannot be chosen here; every account has one from birth." });
    }),
  ];
}

/** @param context of the product */
export function wholeRoutes(context: ProductContext): Route[] {
  return [...scriptRoutes(context), ...subdomainRoutes(context)];
}
