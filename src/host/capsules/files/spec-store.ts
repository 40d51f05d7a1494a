// Specs at rest: sealed in the account's directory under a key that lives in this process's memory only.
// What a dead host left behind can never be read again; a new one asks control.
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CapsuleSpec } from "../../../capsule/spec.ts";
import type { AccountId } from "../../../kernel/ids.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Keeps what an account's process is made of off the heap, so that ten thousand cold accounts cost disk only. */
export class SpecStore {
  readonly #accountsDirectory: string;
  readonly #key = randomBytes(32);

  /** @param accountsDirectory holds one directory an account, each made by whoever writes the account's first file. */
  constructor(accountsDirectory: string) {
    this.#accountsDirectory = accountsDirectory;
  }

  /** Replaces the account's sealed spec in one step. */
  async write(spec: CapsuleSpec): Promise<void> {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce).setAAD(Buffer.from(spec.account));
    const body = Buffer.concat([cipher.update(JSON.stringify(spec), "utf8"), cipher.final()]);
    const path = this.#path(spec.account);
    const fresh = `${path}.${randomBytes(6).toString("hex")}`;
    try {
      await writeFile(fresh, Buffer.concat([nonce, cipher.getAuthTag(), body]), { flag: "wx", mode: 0o600 });
      await rename(fresh, path);
    } catch (error) {
      await rm(fresh, { force: true });
      throw error;
    }
  }

  /** The spec last written by this process; throws when the file was changed or is another process's. */
  async read(account: AccountId): Promise<CapsuleSpec> {
    const sealed = await readFile(this.#path(account));
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv("aes-256-gcm", this.#key, nonce, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(account))
      .setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    const text = decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
    // The seal proves that this process checked and wrote it.
    return JSON.parse(text) as CapsuleSpec;
  }

  #path(account: AccountId): string {
    return join(this.#accountsDirectory, account, "spec.sealed");
  }
}
