// The side of Miniflare: the same files and bindings in one process, started once.
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { SITE_WORKER, SITES, type Site } from "./site.ts";
import { COMPATIBILITY_DATE, D1_BINDINGS, KEY_VALUE_CLASSES, KV_BINDINGS, OBJECTS, WORKER, workerFiles, type Side } from "./sides.ts";

const byOwnName = (names: readonly string[]): Record<string, string> => Object.fromEntries(names.map((name) => [name, `faithful-${name}`]));

const hostOf = (worker: string): string => `${worker}.test`;

function common(name: string, files: readonly { readonly path: string; readonly contents: string }[]) {
  return {
    name,
    // A socket of its own: by route the requests would go past the static files.
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
    compatibilityDate: COMPATIBILITY_DATE,
    modulesRoot: "/",
    modules: files.map(({ path, contents }) => ({ type: "ESModule" as const, path: `/${path}`, contents })),
  };
}

function mainWorker() {
  const durableObjects = Object.entries(OBJECTS).map(([binding, className]) => [
    binding,
    { className, useSQLite: !KEY_VALUE_CLASSES.includes(className) },
  ]);
  return {
    ...common(WORKER, workerFiles()),
    kvNamespaces: byOwnName(KV_BINDINGS),
    d1Databases: byOwnName(D1_BINDINGS),
    durableObjects: Object.fromEntries(durableObjects) as Record<string, { className: string; useSQLite: boolean }>,
  };
}

function siteWorker(site: Site, directory: string) {
  const contents = site.worker ? SITE_WORKER : "export default {};";
  return {
    ...common(site.name, [{ path: "index.js", contents }]),
    assets: {
      directory,
      ...(site.worker && {
        binding: "ASSETS",
        run_worker_first: typeof site.worker.first === "boolean" ? site.worker.first : [...site.worker.first],
      }),
      routerConfig: { has_user_worker: site.worker !== undefined },
      assetConfig: { html_handling: site.html, not_found_handling: site.notFound },
    },
  };
}

/** @param directory of the static files */
export async function startMiniflare(directory: string): Promise<Side & AsyncDisposable> {
  const workers = [mainWorker(), ...SITES.map((site) => siteWorker(site, directory))];
  const miniflare = new Miniflare(convertV4MiniflareOptions({ log: new Log(LogLevel.NONE), port: 0, workers }));
  await miniflare.ready;
  const named = workers.map(async ({ name }) => [name, Number((await miniflare.unsafeGetDirectURL(name)).port)] as const);
  const ports = new Map(await Promise.all(named));
  return {
    placeOf: (worker) => ({ port: ports.get(worker) ?? 0, host: hostOf(worker) }),
    [Symbol.asyncDispose]: () => miniflare.dispose(),
  };
}
