// What an installation holds, as seen from outside: processes, descriptors, memory, disk, and what ended accounts left behind.
import { createHash } from "node:crypto";
import { globSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Installation } from "../fixtures/installation.ts";
import { descriptorsOf, rssOf } from "../fixtures/process-figures.ts";

export type Weights = {
  readonly atMs: number;
  readonly controlRss: number;
  readonly hostRss: number;
  readonly controlDescriptors: number;
  readonly hostDescriptors: number;
  readonly capsules: number;
  /** Directories below accounts/. */
  readonly directories: number;
  readonly keys: number;
  /** Entries of the directory of sockets. */
  readonly sockets: number;
  readonly spooled: number;
  readonly walBytes: number;
};

const entries = (path: string): string[] => {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
};

const bytesOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

const digestOf = (data: string): string => createHash("sha256").update(resolve(data)).digest("hex").slice(0, 8);

export function weigh(installation: Installation): Weights {
  const { data } = installation;
  const [control, host] = [installation.pidOf("control") ?? 0, installation.pidOf("host") ?? 0];
  return {
    atMs: performance.now(),
    controlRss: rssOf(control),
    hostRss: rssOf(host),
    controlDescriptors: descriptorsOf(control),
    hostDescriptors: descriptorsOf(host),
    capsules: installation.capsules().length,
    directories: entries(join(data, "accounts")).length,
    keys: entries(join(data, "keys", "accounts")).length,
    sockets: entries(`/run/mayfly-${digestOf(data)}/c`).length,
    spooled: globSync("**/*", { cwd: join(data, "spool"), withFileTypes: true }).filter((entry) => entry.isFile()).length,
    walBytes: bytesOf(join(data, "mayfly.db-wal")),
  };
}

/** Control groups of the installation, over all controllers. */
export const groupsOf = ({ data }: Installation): number =>
  new Set(globSync(`/sys/fs/cgroup/**/mayfly-${digestOf(data)}/*/`).map((path) => path.split("/").at(-1))).size;

/** Rows and keys of accounts that are deleted, in words; the tombstone and the trail stay. */
export function leftBehind({ data }: Installation): string[] {
  using database = new DatabaseSync(join(data, "mayfly.db"), { readOnly: true });
  const names = (sql: string): string[] => (database.prepare(sql).all() as { name: string }[]).map(({ name }) => name);
  const deleted = "(SELECT id FROM accounts WHERE state = 'deleted')";
  const rows = names("SELECT name FROM sqlite_master WHERE type = 'table'")
    .filter((table) => table !== "trail" && names(`SELECT name FROM pragma_table_info('${table}')`).includes("account_id"))
    .flatMap((table) => {
      const { count } = database.prepare(`SELECT count(*) AS count FROM ${table} WHERE account_id IN ${deleted}`).get() as {
        count: number;
      };
      return count > 0 ? [`${count} rows of ${table}`] : [];
    });
  const gone = new Set(names(`SELECT id AS name FROM accounts WHERE state = 'deleted'`));
  const keys = entries(join(data, "keys", "accounts")).filter((name) => gone.has(name.replace(/\.key$/, "")));
  const directories = entries(join(data, "accounts")).filter((name) => gone.has(name));
  return [
    ...rows,
    ...(keys.length > 0 ? [`${keys.length} sealing keys`] : []),
    ...(directories.length > 0 ? [`${directories.length} directories`] : []),
  ];
}

/** Bytes a minute, by least squares. */
export function slope(samples: readonly Weights[], what: "controlRss" | "hostRss"): number {
  if (samples.length < 3) return 0;
  const at = samples.map(({ atMs }) => atMs / 60_000);
  const meanAt = at.reduce((sum, x) => sum + x, 0) / at.length;
  const mean = samples.reduce((sum, sample) => sum + sample[what], 0) / samples.length;
  let [above, below] = [0, 0];
  for (const [n, sample] of samples.entries()) {
    const from = (at[n] ?? 0) - meanAt;
    above += from * (sample[what] - mean);
    below += from * from;
  }
  return below === 0 ? 0 : above / below;
}
