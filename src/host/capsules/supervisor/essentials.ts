// What memory keeps of an account that is known here: enough to route and to refuse, never code or secrets.
import { createHash } from "node:crypto";
import type { CapsuleLimits, CapsuleSpec, Route, StateKept, Tombstone } from "../../../capsule/spec.ts";
import type { AccountId, Subdomain } from "../../../kernel/ids.ts";
import type { ClaimState, Origin } from "../../contract.ts";

export type Essentials = {
  readonly account: AccountId;
  readonly subdomain: Subdomain;
  readonly claimed: boolean;
  readonly generation: number;
  readonly endsAtMs: number | null;
  readonly suspended: string | null;
  readonly limits: CapsuleLimits;
  /** By host label. */
  readonly routes: ReadonlyMap<string, Route>;
  /** Service id → what it runs. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** What the account holds under `state/`. */
  readonly state: StateKept;
  /** Whether its process can have alarms that fall due while it is cold. */
  readonly hasAlarms: boolean;
  /** Of everything that a running process was made from: equal digests need no restart. */
  readonly digest: string;
};

function processDigest(spec: CapsuleSpec): string {
  const { memoryBytes, cpuWeight, maxProcesses, maxDiskBytes, maxInnerRequests } = spec.limits;
  const made = {
    limits: { memoryBytes, cpuWeight, maxProcesses, maxDiskBytes, maxInnerRequests },
    units: spec.units.map((unit) => ({
      id: unit.id,
      services: unit.services,
      fronts: unit.fronts.toSorted(),
    })),
  };
  return createHash("sha256").update(JSON.stringify(made)).digest("base64");
}

/** Service id → script and version, of the services that are an account's own. */
export function originsOf(spec: Pick<CapsuleSpec, "units">): ReadonlyMap<string, Origin> {
  const services = spec.units.flatMap((unit) => unit.services);
  return new Map(services.flatMap(({ id, origin }) => (origin === null ? [] : [[id, origin] as const])));
}

export function essentials(spec: CapsuleSpec): Essentials {
  return {
    account: spec.account,
    subdomain: spec.subdomain,
    claimed: spec.claimed,
    generation: spec.generation,
    endsAtMs: spec.endsAtMs,
    suspended: spec.suspended,
    limits: spec.limits,
    routes: new Map(spec.units.flatMap((unit) => unit.ingress.map((route) => [route.label, route] as const))),
    origins: originsOf(spec),
    state: spec.keep.state ?? { kv: [], d1: [], objects: [] },
    hasAlarms: spec.units.some(({ services }) => services.some((one) => one.kind === "worker" && one.origin !== null && one.objects)),
    digest: processDigest(spec),
  };
}

/** What callers are told between the end time and control's own word on it. */
export function lapse(of: Essentials, endsAtMs: number): Tombstone {
  return { account: of.account, subdomain: of.subdomain, reason: "expired", endedAtMs: endsAtMs };
}

/** Who answers for what serves at a label; null where nothing does. */
export function claimStateAt(
  capsule: { readonly known: Essentials | null; readonly lives: boolean } | undefined,
  label: string,
): ClaimState | null {
  const known = capsule?.known ?? null;
  if (known === null || capsule?.lives !== true || known.suspended !== null || !known.routes.has(label)) return null;
  return { account: known.account, claimed: known.claimed, endsAtMs: known.endsAtMs };
}

const LABEL = /^[a-z0-9-]{1,63}$/;

/** Whether there is something before `<worker>--<subdomain>`. */
export const isPreview = (label: string): boolean => label.indexOf("--") !== label.lastIndexOf("--");

/** The account's part of `<worker>--<subdomain>` or `<version>--<worker>--<subdomain>`; null when there is none. */
export function subdomainOf(label: string): string | null {
  const at = label.lastIndexOf("--");
  if (at <= 0 || !LABEL.test(label)) return null;
  return label.slice(at + 2) || null;
}
