// The whole installation at a glance: the machine, how many accounts in which state, and who is let in at what price.
import type { Capacity, CapsuleHost } from "../../capsule/messages.ts";
import type { AdmissionStats } from "../admission/admission.ts";
import type { AccountState } from "../store/schema.ts";
import type { Bans } from "./bans.ts";
import type { Sight } from "./sight.ts";

/** What admission counts; the price rises where it is made to. */
export type Admitting = AdmissionStats & {
  /** Hashes that somebody pays who was never seen. */
  readonly price?: number;
  /** By limit or error. */
  readonly refused?: Readonly<Record<string, number | undefined>>;
};

export type Overview = {
  /** Null while the part that runs Workers does not answer. */
  readonly capacity: Capacity | null;
  readonly accounts: { readonly byState: Readonly<Record<AccountState, number>>; readonly suspended: number };
  readonly admission: Admitting;
  /** Hashes for an account, now. */
  readonly price: number;
  readonly bans: number;
};

export type OverviewOptions = {
  readonly host: Pick<CapsuleHost, "capacity">;
  readonly sight: Pick<Sight, "counts">;
  readonly bans: Pick<Bans, "list">;
  readonly admission: () => Admitting;
  readonly powHashes: number;
};

export async function overviewOf({ host, sight, bans, admission, powHashes }: OverviewOptions): Promise<Overview> {
  const stats = admission();
  return {
    capacity: await host.capacity().catch(() => null),
    accounts: await sight.counts(),
    admission: stats,
    price: stats.price ?? powHashes,
    bans: (await bans.list({ limit: 1, offset: 0 })).total,
  };
}
