// A user id of its own for every account directory on this machine: never shared between two that exist,
// and written into the directory's group, so that a host that restarts gives the same one again.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { ACCOUNT_ID, type AccountId } from "../../../kernel/ids.ts";
import { PlatformError } from "../../../kernel/errors.ts";

const FIRST = 100_000;
const LAST = 165_535;

/** Reads the groups of the directories that exist, then hands out ids between 100000 and 165535. */
export class UserIds {
  readonly #byAccount = new Map<AccountId, number>();
  readonly #taken = new Set<number>();
  #next = FIRST;

  constructor(accountsDirectory: string) {
    for (const name of readdirSync(accountsDirectory)) {
      if (!ACCOUNT_ID.test(name)) continue;
      const { gid } = statSync(join(accountsDirectory, name));
      if (gid >= FIRST && gid <= LAST && !this.#taken.has(gid)) this.#keep(name as AccountId, gid);
    }
  }

  /** The account's id, a new one if it has none. @throws PlatformError capsule_failed when all 65,536 are in use */
  of(account: AccountId): number {
    const known = this.#byAccount.get(account);
    if (known !== undefined) return known;
    for (let tried = FIRST; tried <= LAST; tried++) {
      const uid = this.#next;
      this.#next = uid === LAST ? FIRST : uid + 1;
      if (this.#taken.has(uid)) continue;
      this.#keep(account, uid);
      return uid;
    }
    throw new PlatformError("capsule_failed", { message: "This machine holds as many accounts as it has user ids for." });
  }

  /** Only after the account's directory is gone: its files must never meet the id's next holder. */
  release(account: AccountId): void {
    const uid = this.#byAccount.get(account);
    if (uid === undefined) return;
    this.#byAccount.delete(account);
    this.#taken.delete(uid);
  }

  #keep(account: AccountId, uid: number): void {
    this.#byAccount.set(account, uid);
    this.#taken.add(uid);
  }
}
