// Limits in words. A product's new limit needs none: its name says enough until it has a title here.
import { iso } from "../../kernel/clock.ts";
import { inWords } from "../http/times.ts";
import type { Limit } from "../products/product.ts";

const TITLES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "account.life": "Life of the account",
    "account.tokens": "Tokens that work",
    "account.disk_bytes": "Disk",
    "account.memory_bytes": "Memory of the process",
    "account.tokens_made_per_10_minutes": "Tokens made in ten minutes",
    "account.requests_per_10_minutes": "Requests from callers in ten minutes",
    "account.cpu_seconds_per_10_minutes": "CPU time in ten minutes",
    "account.served_bytes_per_10_minutes": "Answers to callers in ten minutes",
    "account.subrequests_per_10_minutes": "Requests of its Workers to other hosts in ten minutes",
    "account.egress_bytes_per_10_minutes": "Between its Workers and other hosts in ten minutes",
    "account.egress_hosts_per_10_minutes": "Different hosts that its Workers reach in ten minutes",
    "account.log_bytes_per_10_minutes": "Log written in ten minutes",
    "account.cpu_weight": "Share of the CPU, of 1024, against other accounts",
    "account.inner_requests": "Requests in flight from its Workers to Workers of this installation",
    "account.outbound_connections": "Connections of its Workers to other hosts at once",
    "workers.scripts": "Workers",
    "workers.script_bytes": "Size of a Worker, compressed",
    "workers.cron_triggers": "Cron triggers",
    "workers.previews_running": "Versions that run for their previews alone",
    "assets.files_held": "Static files held",
    "assets.files": "Static files of one Worker",
    "assets.file_bytes": "Size of a static file",
    "kv.namespaces": "KV namespaces",
    "kv.bytes": "Data in KV",
    "d1.databases": "D1 databases",
    "d1.database_bytes": "Size of a D1 database",
    "durable_objects.namespaces": "Durable Object classes",
    "secrets_store.stores": "Secrets stores",
    "secrets_store.secrets": "Secrets in stores",
  }),
);

export const titleOf = ({ name }: Pick<Limit, "name">): string => TITLES.get(name) ?? name.replaceAll(/[._]/g, " ");

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"] as const;

export function bytesInWords(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1);
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${UNITS[power] ?? "bytes"}`;
}

export function amountOf(value: number, unit: Limit["unit"]): string {
  if (unit === "bytes") return bytesInWords(value);
  return unit === "seconds" ? inWords(value * 1000) : value.toLocaleString("en-US");
}

/** Such as `Workers: 3 of 20.` */
export function inSentence(limit: Limit): string {
  const { unit, max, used } = limit;
  const most = max === null ? "no cap" : amountOf(max, unit);
  if (used === null) return `${titleOf(limit)}: ${max === null ? most : `at most ${most}`}.`;
  const frees = limit.freesAtMs == null ? "" : ` All of it is free again at ${iso(limit.freesAtMs)}.`;
  return `${titleOf(limit)}: ${amountOf(used, unit)}${max === null ? `, ${most}` : ` of ${most}`}.${frees}`;
}
