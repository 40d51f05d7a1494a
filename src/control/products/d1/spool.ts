// SQL that was uploaded and waits to be imported: one file a database, enciphered under a key that this process alone
// holds, bounded for one and for all. Nothing of it outlives its hour, its account's end, or this process.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { createReadStream, createWriteStream, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Clock } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import { newId, type AccountId } from "../../../kernel/ids.ts";
import { SPOOL_MAX_BYTES, UPLOAD_SECONDS } from "./quota.ts";

const CIPHER = "aes-256-ctr";
const KEY_BYTES = 32;
const IV_BYTES = 16;

type Entry = {
  readonly id: string;
  readonly account: AccountId;
  readonly database: string;
  /** MD5 of the text, as the client announced it: 32 hexadecimal digits. */
  readonly etag: string;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly over: AbortController;
  readonly expiresAtMs: number;
  timer?: NodeJS.Timeout;
  bytes: number;
  state: "announced" | "coming" | "whole";
};

const unknown = (message: string): PlatformError =>
  new PlatformError("import_not_found", { message, next: "Begin the import anew with the action init and upload the file." });

export type SpoolOptions = { readonly directory: string; readonly clock: Clock; readonly maxBytes?: number };

export class Spool {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  /** Whatever lies in the directory is lost: its keys are. */
  constructor({ directory, clock, maxBytes = SPOOL_MAX_BYTES }: SpoolOptions) {
    this.#directory = directory;
    this.#clock = clock;
    this.#maxBytes = maxBytes;
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Expects an upload; an earlier one for the database is given up. @returns its id, and until when it is taken */
  announce(account: AccountId, database: string, etag: string): { readonly id: string; readonly expiresAtMs: number } {
    for (const entry of this.#entries.values())
      if (entry.expiresAtMs <= this.#clock.now() || (entry.account === account && entry.database === database)) this.#drop(entry);
    const expiresAtMs = this.#clock.now() + UPLOAD_SECONDS * 1000;
    const [key, iv] = [randomBytes(KEY_BYTES), randomBytes(IV_BYTES)];
    const over = new AbortController();
    const entry: Entry = { id: newId(), account, database, etag, key, iv, over, expiresAtMs, bytes: 0, state: "announced" };
    this.#entries.set(entry.id, entry);
    entry.timer = setTimeout(() => this.#drop(entry), UPLOAD_SECONDS * 1000).unref();
    return { id: entry.id, expiresAtMs };
  }

  /** @returns the MD5 @throws PlatformError import_not_found, import_mismatch, body_too_large, capsule_failed when there is no room */
  async receive(id: string, body: Readable, maxBytes: number): Promise<string> {
    const entry = this.#entries.get(id);
    if (!entry || entry.state === "coming") throw unknown("This upload is not expected (any more).");
    this.#forget(entry);
    entry.state = "coming";
    const digest = createHash("md5");
    const take = new Transform({
      transform: (chunk: Uint8Array, _encoding, passOn) => {
        digest.update(chunk);
        passOn(this.#grow(entry, chunk.byteLength, maxBytes), chunk);
      },
    });
    const file = createWriteStream(this.#pathOf(entry), { mode: 0o600 });
    try {
      await pipeline(body, take, createCipheriv(CIPHER, entry.key, entry.iv), file, { signal: entry.over.signal });
    } catch (cause) {
      this.#forget(entry);
      if (cause instanceof PlatformError) throw cause;
      throw unknown("The upload broke off, or its account or database went meanwhile.");
    }
    if (digest.digest("hex") !== entry.etag) {
      this.#forget(entry);
      throw new PlatformError("import_mismatch", { message: "What was uploaded is not what the etag announced." });
    }
    entry.state = "whole";
    return entry.etag;
  }

  /** An upload that is there as a whole. @throws PlatformError import_not_found */
  find(id: string, database: string, etag: string): { readonly text: () => Readable; readonly drop: () => void } {
    const entry = this.#entries.get(id);
    if (!entry || entry.state !== "whole" || entry.database !== database || entry.etag !== etag)
      throw unknown("filename: no file of that name and etag was uploaded for this database.");
    return {
      text: () => {
        const plain = createDecipheriv(CIPHER, entry.key, entry.iv);
        pipeline(createReadStream(this.#pathOf(entry)), plain).catch((error: unknown) => plain.destroy(error as Error));
        return plain;
      },
      drop: () => this.#drop(entry),
    };
  }

  /** Idempotent. */
  dropAccount(account: AccountId): void {
    for (const entry of this.#entries.values()) if (entry.account === account) this.#drop(entry);
  }

  #pathOf({ id }: Entry): string {
    return join(this.#directory, `${id}.sql`);
  }

  #grow(entry: Entry, bytes: number, maxBytes: number): Error | null {
    if (entry.bytes + bytes > maxBytes)
      return new PlatformError("body_too_large", { message: `The file is larger than ${maxBytes} bytes.` });
    if (this.#bytes + bytes > this.#maxBytes)
      return new PlatformError("capsule_failed", { message: "This installation holds as many uploads as it may.", retryAfterSeconds: 30 });
    entry.bytes += bytes;
    this.#bytes += bytes;
    return null;
  }

  /** Its bytes, not that it is expected. */
  #forget(entry: Entry): void {
    this.#bytes -= entry.bytes;
    entry.bytes = 0;
    entry.state = "announced";
  }

  #drop(entry: Entry): void {
    if (!this.#entries.delete(entry.id)) return;
    this.#forget(entry);
    clearTimeout(entry.timer);
    entry.over.abort();
    entry.key.fill(0);
    rmSync(this.#pathOf(entry), { force: true });
  }
}
