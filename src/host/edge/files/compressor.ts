// Compresses each file once, off the event loop, and never for long: files that are being read or compressed are bounded
// in bytes, the threads in number, and the time in all and for each account. Where a bound is met the file goes
// out as it is. Entries are an account's own, so what a process that was taken over says reaches nobody else.
import { promisify } from "node:util";
import { brotliCompress, constants, gzip, zstdCompress } from "node:zlib";
import type { AccountId } from "../../../kernel/ids.ts";
import { onAbort } from "../cut.ts";
import { Allowance } from "./allowance.ts";
import type { Encoding } from "./encodings.ts";
import { Shelf, type Kept } from "./shelf.ts";

export const COMPRESSOR_BOUNDS = {
  /** Compressed files kept. */
  maxBytes: 67_108_864,
  accountBytes: 16_777_216,
  /** Files that are being read or wait for a thread. */
  pendingBytes: 33_554_432,
  accountPendingBytes: 16_777_216,
  threads: 2,
  /** Of compressing in all after a rest, and the share of the time that comes back … */
  mostMs: 5_000,
  rate: 0.25,
  /** … and for one account. */
  accountMostMs: 2_000,
  accountRate: 0.05,
  /** A file that has not come by then goes out as it is. */
  readMs: 5_000,
};
export type CompressorBounds = typeof COMPRESSOR_BOUNDS;

/** Accounts whose time is remembered; those that have all of theirs are forgotten first. */
const ACCOUNTS_REMEMBERED = 1_000;
/** What compressing takes off is worth the caller's time, or the file is kept as it is. */
const WORTH = 0.95;
const CHUNK_BYTES = 262_144;

const brotli = promisify(brotliCompress);
const zstd = promisify(zstdCompress);
const deflate = promisify(gzip);

// The levels are those of the hosted original.
const COMPRESS: Readonly<Record<Encoding, (bytes: Buffer) => Promise<Buffer>>> = {
  br: (bytes) =>
    brotli(bytes, {
      chunkSize: CHUNK_BYTES,
      params: { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    }),
  zstd: (bytes) => zstd(bytes, { chunkSize: CHUNK_BYTES, params: { [constants.ZSTD_c_compressionLevel]: 3 } }),
  gzip: (bytes) => deflate(bytes, { chunkSize: CHUNK_BYTES, level: 6 }),
};

/** One file that is being read and compressed; whoever asks for it meanwhile waits for `done`. */
export type Job = {
  /** What became of it; null: nothing, the file goes out as it is. Never rejects. */
  readonly done: Promise<Kept | null>;
  /** Hands the whole file over. */
  finish(bytes: Buffer): void;
  /** It was not read to its end. */
  abandon(): void;
};

export type Sought =
  | { readonly kind: "kept"; readonly kept: Kept }
  | { readonly kind: "pending"; readonly done: Job["done"] }
  /** The caller's to read. */
  | { readonly kind: "job"; readonly job: Job }
  | { readonly kind: "busy" };

export class Compressor {
  readonly shelf: Shelf;
  readonly #bounds: CompressorBounds;
  readonly #now: () => number;
  readonly #pending = new Map<string, Job["done"]>();
  readonly #accountPending = new Map<AccountId, number>();
  readonly #allowances = new Map<AccountId, Allowance>();
  readonly #allowance: Allowance;
  readonly #waiting: (() => void)[] = [];
  readonly #watched = new WeakSet<AbortSignal>();
  #pendingBytes = 0;
  #running = 0;

  /** @param now milliseconds of a steady clock */
  constructor(bounds: Partial<CompressorBounds> = {}, now: () => number = () => performance.now()) {
    this.#bounds = { ...COMPRESSOR_BOUNDS, ...bounds };
    this.#now = now;
    this.shelf = new Shelf(this.#bounds.maxBytes, this.#bounds.accountBytes);
    this.#allowance = new Allowance(this.#bounds.mostMs, this.#bounds.rate, now());
  }

  /** What is known of a file, without starting anything. */
  find(account: AccountId, encoding: Encoding, tag: string): Kept | undefined {
    return this.shelf.find(account, `${encoding} ${tag}`);
  }

  /**
   * A file in one encoding.
   * @param tag ETag, which names one content within the account; @param ended aborts when nothing of the account may be kept any more
   */
  seek(account: AccountId, encoding: Encoding, tag: string, bytes: number, ended: AbortSignal): Sought {
    const key = `${encoding} ${tag}`;
    const kept = this.shelf.find(account, key);
    if (kept !== undefined) return { kind: "kept", kept };
    const done = this.#pending.get(`${account} ${key}`);
    if (done !== undefined) return { kind: "pending", done };
    if (ended.aborted || !this.#admits(account, bytes)) return { kind: "busy" };
    if (!this.#watched.has(ended)) {
      this.#watched.add(ended);
      onAbort(ended, () => this.shelf.clear(account));
    }
    return { kind: "job", job: this.#open(account, key, encoding, bytes, ended) };
  }

  #admits(account: AccountId, bytes: number): boolean {
    const { pendingBytes, accountPendingBytes } = this.#bounds;
    if (this.#pendingBytes + bytes > pendingBytes) return false;
    if ((this.#accountPending.get(account) ?? 0) + bytes > accountPendingBytes) return false;
    return this.#allowance.left(this.#now()) && this.#allowanceOf(account).left(this.#now());
  }

  #allowanceOf(account: AccountId): Allowance {
    const known = this.#allowances.get(account);
    if (known !== undefined) return known;
    if (this.#allowances.size >= ACCOUNTS_REMEMBERED) {
      for (const [id, allowance] of this.#allowances) if (allowance.full(this.#now())) this.#allowances.delete(id);
    }
    const { accountMostMs, accountRate } = this.#bounds;
    const made = new Allowance(accountMostMs, accountRate, this.#now());
    this.#allowances.set(account, made);
    return made;
  }

  #open(account: AccountId, key: string, encoding: Encoding, bytes: number, ended: AbortSignal): Job {
    const { promise: read, resolve } = Promise.withResolvers<Buffer | null>();
    const timer = setTimeout(() => resolve(null), this.#bounds.readMs);
    this.#count(account, bytes);
    const done = this.#compress(account, key, encoding, read, ended).finally(() => {
      clearTimeout(timer);
      this.#count(account, -bytes);
      this.#pending.delete(`${account} ${key}`);
    });
    this.#pending.set(`${account} ${key}`, done);
    return { done, finish: resolve, abandon: () => resolve(null) };
  }

  #count(account: AccountId, bytes: number): void {
    this.#pendingBytes += bytes;
    const own = (this.#accountPending.get(account) ?? 0) + bytes;
    if (own > 0) this.#accountPending.set(account, own);
    else this.#accountPending.delete(account);
  }

  async #compress(
    account: AccountId,
    key: string,
    encoding: Encoding,
    read: Promise<Buffer | null>,
    ended: AbortSignal,
  ): Promise<Kept | null> {
    const bytes = await read;
    if (bytes === null) return null;
    if (this.#running >= this.#bounds.threads) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    const beganMs = this.#now();
    let compressed: Buffer | null;
    try {
      compressed = await COMPRESS[encoding](bytes);
    } catch {
      // Of memory, if anything.
      compressed = null;
    } finally {
      const ms = this.#now() - beganMs;
      this.#allowance.spend(ms, this.#now());
      this.#allowanceOf(account).spend(ms, this.#now());
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
    if (compressed === null || ended.aborted) return null;
    return this.shelf.put(account, key, compressed.length > bytes.length * WORTH ? null : compressed);
  }
}
