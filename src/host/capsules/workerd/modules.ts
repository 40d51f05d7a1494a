// Where the bytes of modules come from: ours from runtime/, by key and read once; a tenant's by hash, through
// whoever holds the account's files. Everything is loaded before the configuration is composed.
import { readFileSync } from "node:fs";
import { RUNTIME_MODULES, type ModuleSource, type Unit, type WorkerService } from "../../../capsule/spec.ts";

const RUNTIME = [...RUNTIME_MODULES, "control", "trial-judge", "trial-listen", "trial-probe"] as const;
type RuntimeKey = (typeof RUNTIME)[number];

const runtime = new Map<RuntimeKey, string>(
  RUNTIME.map((key) => [key, readFileSync(new URL(`./runtime/${key}.js`, import.meta.url), "utf8")]),
);

/** Source text of one of our own modules. */
export function runtimeSource(key: RuntimeKey): string {
  const text = runtime.get(key);
  if (text === undefined) throw new Error(`no runtime module ${key}`);
  return text;
}

function sources(worker: WorkerService): ModuleSource[] {
  const { code } = worker;
  return [
    ...(code.format === "modules" ? code.modules.map((module) => module.source) : [code.source]),
    ...worker.bindings.flatMap((binding) => (binding.kind === "data" || binding.kind === "wasm" ? [binding.source] : [])),
  ];
}

/** SHA-256 names of every uploaded file that the Workers need in order to start, each once. */
export function codeHashes(services: Unit["services"]): string[] {
  const all = services.flatMap((service) => (service.kind === "worker" ? sources(service) : []));
  return [...new Set(all.flatMap((source) => ("hash" in source ? [source.hash] : [])))];
}

/**
 * Loads the bytes of the services' modules, for `serveConfig`.
 * @param read the bytes of one uploaded file, by hash.
 */
export async function moduleReader(
  services: Unit["services"],
  read: (hash: string) => Promise<Uint8Array>,
): Promise<(source: ModuleSource) => Uint8Array> {
  const loaded = new Map(await Promise.all(codeHashes(services).map(async (hash) => [hash, await read(hash)] as const)));
  return (source) => {
    if ("runtime" in source) return new TextEncoder().encode(runtimeSource(source.runtime));
    if ("bundled" in source) throw new Error("a bundled module has no bytes of its own");
    const bytes = loaded.get(source.hash);
    if (bytes === undefined) throw new Error(`the module ${source.hash} was not loaded`);
    return bytes;
  };
}
