// How the operator's API writes what it shows: snake_case, times in RFC 3339, amounts with their unit in the name.
import { iso } from "../../kernel/clock.ts";
import { lifeOf } from "../accounts/lifecycle.ts";
import type { BanLine } from "./bans.ts";
import type { Dossier } from "./dossier.ts";
import type { Overview } from "./overview.ts";
import type { Report } from "./reports.ts";
import type { AccountLine } from "./sight.ts";

const isoOrNull = (atMs: number | null): string | null => (atMs === null ? null : iso(atMs));

export function lineOnWire({ account, load, caps, refusals, reports }: AccountLine, nowMs: number) {
  const { expires_at: expiresAt } = account;
  return {
    id: account.id,
    subdomain: account.subdomain,
    state: lifeOf(account, nowMs) === "late" ? "ending" : account.state,
    created_on: iso(account.created_at),
    age_seconds: Math.floor((nowMs - account.created_at) / 1000),
    expires_at: isoOrNull(expiresAt),
    left_seconds: expiresAt === null ? null : Math.max(0, Math.floor((expiresAt - nowMs) / 1000)),
    claimed_at: isoOrNull(account.claimed_at),
    ended_at: isoOrNull(account.ended_at),
    end_reason: account.end_reason,
    suspended:
      account.suspended_at === null ? null : { at: iso(account.suspended_at), by: account.suspended_by, reason: account.suspended_reason },
    hot: load?.hot ?? false,
    cpu_ms_per_minute: load?.cpuMsPerMinute ?? 0,
    memory_bytes: load?.pssBytes ?? 0,
    restarts: load?.restarts ?? 0,
    caps: caps.map(({ cap, used, refused, max, freesAtMs }) => ({
      cap,
      used,
      max: max === 0 ? null : max,
      refused,
      frees_at: isoOrNull(freesAtMs),
    })),
    refusals,
    open_reports: reports,
  };
}

export function dossierOnWire(dossier: Dossier, nowMs: number) {
  const { usage, limits, holdings, hashes, trail } = dossier;
  return {
    ...lineOnWire(dossier, nowMs),
    made_from: dossier.madeFrom,
    usage: usage && {
      disk_bytes: usage.diskBytes,
      cpu_ms: usage.cpuMs,
      memory_bytes: usage.pssBytes,
      starts: usage.starts,
      restarts: usage.restarts,
    },
    limits,
    workers: holdings.workers,
    files: holdings.files,
    code: hashes,
    trail: trail.map((line) => ({ ...line, at: iso(line.at) })),
  };
}

export const banOnWire = (ban: BanLine) => ({
  id: ban.id,
  range: ban.range,
  reason: ban.reason,
  created_by: ban.by,
  created_on: iso(ban.createdAtMs),
  expires_at: isoOrNull(ban.expiresAtMs),
});

export function overviewOnWire({ capacity, accounts, admission, bans }: Overview) {
  return {
    capacity: capacity && {
      cores: capacity.cores,
      load_average: capacity.loadAverage,
      memory_bytes: capacity.memoryBytes,
      disk_bytes: capacity.diskBytes,
      processes: capacity.processes,
      accounts_known: capacity.accountsKnown,
      edge_connections: capacity.edgeConnections,
    },
    accounts: { ...accounts.byState, suspended: accounts.suspended },
    admission: {
      price_hashes: admission.price,
      pressure: admission.pressure,
      accounts_in_hour: admission.accountsInHour,
      live_accounts: admission.liveAccounts,
      challenges: admission.challenges,
      admitted: admission.admitted,
      wrong: admission.wrong,
      refused: admission.refused,
      waiting_chains: admission.waitingChains,
      waiting_hashes: admission.waitingHashes,
    },
    bans,
  };
}

export const reportOnWire = ({ id, at, account, host, kind, state, closedAt, page, text, contact }: Report) => ({
  id,
  created_on: iso(at),
  account_id: account,
  host,
  kind,
  state,
  closed_at: isoOrNull(closedAt),
  page,
  text,
  contact,
});
