// What a caller must get past, and what they pay: limits by address and network, the installation's fullness, and the
// price that follows from how much of each is taken. The installation's price counts only what was paid for, so that
// nobody makes accounts dear for strangers with challenges and answers that cost nothing.
import { addressPrefix, networkPrefix } from "../../kernel/address-prefix.ts";
import type { Keys } from "../keys/keys.ts";
import type { Tx } from "../store/store.ts";
import { Installation, type InstallationOptions } from "./installation.ts";
import { Leaking } from "./leaking.ts";
import { refuseAccounts, refuseChallenges, refuseFull, refuseUnproven } from "./limits.ts";
import { priceOf, type Load, type Prices } from "./pressure.ts";
import { countMade, insertAdmission, liveWaitMs, waitMs, type Caller } from "./records.ts";
import { Unproven } from "./unproven.ts";

export type GateOptions = InstallationOptions & { readonly keys: Keys; readonly prices: Prices };

const NEAR = ["address", "network"] as const;
type Near = (typeof NEAR)[number];
const hashIn = (caller: Caller, scope: Near): string => (scope === "address" ? caller.addressHash : caller.networkHash);

export class Gate {
  readonly installation: Installation;
  readonly #options: GateOptions;
  readonly #challenges: Readonly<Record<Near, Leaking>>;
  readonly #wrong: Readonly<Record<Near, Leaking>>;
  readonly #unproven: Unproven;

  constructor(options: GateOptions) {
    const { challenges, wrong } = options.limits;
    this.#options = options;
    this.installation = new Installation(options);
    this.#challenges = { address: new Leaking(challenges.address), network: new Leaking(challenges.network) };
    this.#wrong = { address: new Leaking(wrong.address), network: new Leaking(wrong.network) };
    this.#unproven = new Unproven(wrong.address);
  }

  callerOf(address: string): Caller {
    const { keys } = this.#options;
    return {
      addressHash: keys.lookupHash(`address ${addressPrefix(address)}`),
      networkHash: keys.lookupHash(`network ${networkPrefix(address)}`),
    };
  }

  /** Counts a challenge that is asked for; reads memory alone. @throws PlatformError too_many_challenges */
  takeChallenge(caller: Caller): void {
    const nowMs = this.#now();
    for (const scope of NEAR) {
      refuseChallenges(scope, this.#options.limits.challenges[scope], this.#challenges[scope].waitMs(hashIn(caller, scope), nowMs));
    }
    for (const scope of NEAR) this.#challenges[scope].add(hashIn(caller, scope), nowMs);
  }

  /**
   * The price that the caller pays now, in hashes.
   * @throws PlatformError machine_full or too_many_accounts where they could not have an account now
   */
  async price(caller: Caller): Promise<number> {
    const { store, limits, prices } = this.#options;
    this.requireProven(caller);
    await this.installation.requireRoom();
    const loads: Load[] = this.installation.loads();
    for (const scope of NEAR) {
      const nowMs = this.#now();
      const limit = limits.accounts[scope];
      const count = await countMade(store.db, scope, caller, nowMs);
      if (count >= limit) refuseAccounts(scope, limit, await waitMs(store.db, scope, caller, limit, nowMs));
      loads.push(
        { count, limit },
        this.#challenges[scope].load(hashIn(caller, scope), nowMs),
        this.#wrong[scope].load(hashIn(caller, scope), nowMs),
      );
    }
    return priceOf(prices, loads);
  }

  /** What somebody pays who was never seen, as far as is known. */
  unknownPrice(): number {
    return priceOf(this.#options.prices, this.installation.loads());
  }

  /** @throws PlatformError too_many_accounts when too many answers of the address were wrong or are being verified */
  requireProven(caller: Caller): void {
    refuseUnproven(this.#unproven.waitMs(caller.addressHash, this.#now()));
  }

  /** Counts an answer that is about to be verified; the caller says what became of it. */
  beginAnswer(caller: Caller): { forget(): void; wrong(): void } {
    return {
      forget: this.#unproven.begin(caller.addressHash, this.#now()),
      wrong: () => {
        for (const scope of NEAR) this.#wrong[scope].add(hashIn(caller, scope), this.#now());
      },
    };
  }

  /** Counts an account in the transaction that makes it; exact however many race. @throws PlatformError machine_full, too_many_accounts */
  async record(tx: Tx, caller: Caller): Promise<void> {
    const { store, limits } = this.#options;
    await store.lock(tx, "admission");
    const nowMs = this.#now();
    for (const scope of [...NEAR, "installation"] as const) {
      refuseAccounts(scope, limits.accounts[scope], await waitMs(tx, scope, caller, limits.accounts[scope], nowMs));
    }
    refuseFull("live_accounts", await liveWaitMs(tx, limits.liveAccounts, nowMs));
    await insertAdmission(tx, caller, nowMs);
    this.installation.changed();
  }

  #now(): number {
    return this.#options.store.clock.now();
  }
}
