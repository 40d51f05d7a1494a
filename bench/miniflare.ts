// The peer for state: Miniflare with the same Worker, its state on the same disk, and without what it does for each
// request only to tell a developer of it.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import type { Target } from "./load.ts";
import { descendants } from "./processes.ts";

export type Peer = AsyncDisposable & {
  readonly target: Target;
  /** Of its workerd; nothing else of it has a part in a request. */
  readonly pids: readonly number[];
};

export type Deployed = {
  readonly code: string;
  readonly compatibilityDate: string;
  /** Static files by name. */
  readonly files: Readonly<Record<string, string>>;
};

/** @param directory for files and state */
export async function startMiniflare(directory: string, { code, compatibilityDate, files }: Deployed): Promise<Peer> {
  const site = join(directory, "site");
  await mkdir(site, { recursive: true });
  for (const [name, content] of Object.entries(files)) await writeFile(join(site, name), content);
  const before = new Set(descendants(process.pid));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      log: new Log(LogLevel.NONE),
      logRequests: false,
      telemetry: { enabled: false },
      host: "127.0.0.1",
      port: 0,
      resourcePersistencePath: join(directory, "state"),
      workers: [
        {
          name: "state",
          compatibilityDate,
          modulesRoot: "/",
          modules: [{ type: "ESModule", path: "/index.js", contents: code }],
          kvNamespaces: { KV: "kv" },
          d1Databases: { DB: "db" },
          durableObjects: { BOX: { className: "Box", useSQLite: true } },
          assets: { directory: site, routerConfig: { has_user_worker: true }, assetConfig: {} },
        },
      ],
    }),
  );
  const url = await miniflare.ready;
  return {
    target: { port: Number(url.port), host: url.host },
    pids: descendants(process.pid).filter((pid) => !before.has(pid)),
    [Symbol.asyncDispose]: () => miniflare.dispose(),
  };
}
