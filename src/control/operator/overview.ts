// The whole installation at a glance: the machine, how many accounts in which state, and who is let in at what price.
import type { Capacity, CapsuleHost } from "../../capsule/messages.ts";
import type { AdmissionStats } from "../admission/admission.ts";
import type { AccountState } from "../store/schema.ts";
import type { Bans } from "./bans.ts";
import type { Sight } from "./sight.ts";

export type Overview = {
  /** Null while the part that runs Workers does not answer. */
  readonly capacity: Capacity | null;
  readonly accounts: { readonly byState: Readonly<Record<AccountState, number>>; readonly suspended: number };
  readonly admission: AdmissionStats;
  readonly bans: number;
};

export type OverviewOptions = {
  readonly host: Pick<CapsuleHost, "capacity">;
  readonly sight: Pick<Sight, "counts">;
  readonly bans: Pick<Bans, "list">;
  readonly admission: () => Promise<AdmissionStats>;
};

export async function overviewOf({ host, sight, bans, admission }: OverviewOptions): Promise<Overview> {
  return {
    capacity: await host.capacity().catch(() => null),
    accounts: await sight.counts(),
    admission: await admission(),
    bans: (await bans.list({ limit: 1, offset: 0 })).total,
  };
}
