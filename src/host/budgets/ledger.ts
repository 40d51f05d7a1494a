// Budgets on disk: a file of ours in the account's directory, beside what its processes can see, which goes with it. It
// is replaced in one step and holds counts alone; what cannot be read counts as nothing used.
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { AccountId } from "../../kernel/ids.ts";
import { isAbsent } from "../capsules/files/durable.ts";
import { kept, type Kept } from "./budget.ts";

const FILE = "caps.json";

export class Ledger {
  readonly #accountsDirectory: string;
  readonly #onTrouble: (error: unknown, account: AccountId) => void;
  readonly #writing = new Map<AccountId, Promise<void>>();

  constructor(accountsDirectory: string, onTrouble: (error: unknown, account: AccountId) => void) {
    this.#accountsDirectory = accountsDirectory;
    this.#onTrouble = onTrouble;
  }

  async read(account: AccountId): Promise<Kept | null> {
    await this.#writing.get(account);
    try {
      return kept.parse(JSON.parse(await readFile(this.#path(account), "utf8")));
    } catch (error) {
      if (!isAbsent(error)) this.#onTrouble(error, account);
      return null;
    }
  }

  /** One write of an account after the other. An account without a directory has nothing to keep. Never rejects. */
  write(account: AccountId, what: Kept): Promise<void> {
    const written = (this.#writing.get(account) ?? Promise.resolve())
      .then(() => this.#replace(account, JSON.stringify(what)))
      .catch((error: unknown) => {
        if (!isAbsent(error)) this.#onTrouble(error, account);
      })
      .finally(() => {
        if (this.#writing.get(account) === written) this.#writing.delete(account);
      });
    this.#writing.set(account, written);
    return written;
  }

  /** Resolves once nothing of the account is being written. */
  async settled(account: AccountId): Promise<void> {
    await this.#writing.get(account);
  }

  async #replace(account: AccountId, text: string): Promise<void> {
    const path = this.#path(account);
    // Not forced to the disk: a power cut may free what was used in the last seconds.
    await writeFile(`${path}.new`, text, { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  #path(account: AccountId): string {
    return join(this.#accountsDirectory, account, FILE);
  }
}
