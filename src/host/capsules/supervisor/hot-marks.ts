// Which accounts with alarms are hot, on disk: a host that was killed finds there whose next alarm nobody knows. A mark
// stays until control has taken the event that tells the alarm. Written at once, so that marking and unmarking never cross.
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { ACCOUNT_ID, type AccountId } from "../../../kernel/ids.ts";

const MARK = "hot";

export class HotMarks {
  readonly #accountsDirectory: string;
  /** Account → cursor of the event after which its mark may go. */
  readonly #told = new Map<AccountId, number>();
  /** Marked in this life. */
  readonly #marked = new Set<AccountId>();
  readonly #until = new Map<AccountId, AbortController>();

  constructor(accountsDirectory: string) {
    this.#accountsDirectory = accountsDirectory;
  }

  /** Accounts that an earlier life left marked. */
  left(): AccountId[] {
    const names = readdirSync(this.#accountsDirectory).filter((name) => ACCOUNT_ID.test(name)) as AccountId[];
    return names.filter((account) => existsSync(this.#path(account)));
  }

  /** Before the account's process starts; its directory is there. */
  mark(account: AccountId): void {
    this.#told.delete(account);
    this.#marked.add(account);
    this.#until.get(account)?.abort();
    writeFileSync(this.#path(account), "", { mode: 0o600 });
    // Not waited for: a power cut within the next moment finds no alarm that was set since.
    void this.#sync(account);
  }

  /** Aborts once this life marks the account: what was read of its alarms before says nothing any more. */
  untilMarked(account: AccountId): AbortSignal {
    if (this.#marked.has(account)) return AbortSignal.abort();
    const until = new AbortController();
    this.#until.set(account, until);
    return until.signal;
  }

  /** The account's next alarm was told; its mark goes once control has taken that. */
  told(account: AccountId, cursor: number): void {
    this.#told.set(account, cursor);
    this.#until.delete(account);
  }

  /** Control has taken every event up to the cursor. */
  taken(cursor: number): void {
    for (const [account, told] of this.#told) {
      if (told > cursor) continue;
      this.#told.delete(account);
      this.#marked.delete(account);
      rmSync(this.#path(account), { force: true });
    }
  }

  #path(account: AccountId): string {
    return join(this.#accountsDirectory, account, MARK);
  }

  async #sync(account: AccountId): Promise<void> {
    try {
      await using directory = await open(join(this.#accountsDirectory, account));
      await directory.sync();
    } catch {
      // The account is being erased.
    }
  }
}
