// Accounts that ended here, so that they answer 410 without asking and nothing late brings them back.
// Bounded: beyond it control's own tombstones answer.
import type { Tombstone } from "../../../capsule/spec.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import { BoundedMap } from "../../bounded-map.ts";

const MAX_REMEMBERED = 20_000;

export class Ended {
  readonly #byAccount = new BoundedMap<AccountId, Tombstone | null>(MAX_REMEMBERED);
  readonly #bySubdomain = new BoundedMap<string, Tombstone>(MAX_REMEMBERED);
  readonly #erased = new BoundedMap<AccountId, true>(MAX_REMEMBERED);

  remember(tombstone: Tombstone): void {
    this.#byAccount.set(tombstone.account, tombstone);
    this.#bySubdomain.set(tombstone.subdomain, tombstone);
  }

  at(subdomain: string): Tombstone | undefined {
    return this.#bySubdomain.get(subdomain);
  }

  has(account: AccountId): boolean {
    return this.#byAccount.get(account) !== undefined;
  }

  /** Erasing implies an end, even one that an earlier life of this host was told of. */
  markErased(account: AccountId): void {
    this.#byAccount.set(account, this.#byAccount.get(account) ?? null);
    this.#erased.set(account, true);
  }

  erased(account: AccountId): boolean {
    return this.#erased.get(account) !== undefined;
  }
}
