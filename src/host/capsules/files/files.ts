// An account on disk: accounts/<id>/{code, assets/h, assets/v, state}. Code and assets are named by the SHA-256 of
// their bytes and never change; only state/ is the process's to write, and nothing here opens a file under it.
// The time of last access says when a file was last wanted, since a file's modification time makes its ETag.
import { lstat, readdir, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { addAbortSignal, type Readable } from "node:stream";
import type { FileKind } from "../../../capsule/messages.ts";
import type { AssetsService, CapsuleSpec } from "../../../capsule/spec.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import { ACCOUNT_ID, SHA256_HEX, type AccountId } from "../../../kernel/ids.ts";
import { createHash } from "node:crypto";
import { diskUsage, giveTo, makeAccount } from "./disk.ts";
import { diskFailure, eraseTree, isAbsent, openToRead, place, syncDirectory, verifyOnly } from "./durable.ts";
import { growTree } from "./grow-tree.ts";
import { contentTimeSeconds, treeName } from "./tree.ts";

/** How long a file that no version holds is kept for an upload that may be under way. */
export const PRUNE_GRACE_MS = 900_000;
/** How old a measurement of an account's disk may be when a file is let in. */
const USAGE_FRESH_MS = 30_000;
/** Erased accounts remembered, so that a late upload does not bring a directory back. */
const ERASED_REMEMBERED = 10_000;

const KINDS = { code: { path: ["code"], mode: 0o600 }, assets: { path: ["assets", "h"], mode: 0o640 } } as const;

type Account = {
  readonly directory: string;
  /** What is under way; `erase` cuts uploads short and waits for the rest. */
  readonly work: Set<Promise<unknown>>;
  readonly erasing: AbortController;
  made: Promise<void> | null;
  /** From its spec; the installation's until one was seen. */
  maxDiskBytes: number;
  usage: { bytes: number; atMs: number } | null;
};

const assetsOf = (spec: Pick<CapsuleSpec, "units">): AssetsService[] =>
  spec.units.flatMap((unit) => unit.services.filter((service) => service.kind === "assets"));

async function* chunksOf(bytes: Readable | Uint8Array, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (bytes instanceof Uint8Array) yield bytes;
  else for await (const chunk of addAbortSignal(signal, bytes) as AsyncIterable<Uint8Array>) yield chunk;
}

export type FilesOptions = {
  /** The installation's data directory, which exists. */
  readonly data: string;
  readonly clock: Clock;
  /** Of an account whose spec was not seen yet. */
  readonly maxDiskBytes: number;
};

/** All files of all accounts of one installation, under one directory that this process alone writes. */
export class AccountFiles {
  readonly #root: string;
  readonly #clock: Clock;
  readonly #maxDiskBytes: number;
  readonly #accounts = new Map<AccountId, Account>();
  readonly #erased = new Set<AccountId>();

  constructor(options: FilesOptions) {
    this.#root = join(options.data, "accounts");
    this.#clock = options.clock;
    this.#maxDiskBytes = options.maxDiskBytes;
  }

  /** Path of the account's directory, whether or not it is there. */
  directory(account: AccountId): string {
    if (!ACCOUNT_ID.test(account)) throw new Error("not an account id");
    return join(this.#root, account);
  }

  /** Makes the account's directories. @throws PlatformError capsule_failed */
  async prepare(account: AccountId): Promise<void> {
    await this.#work(account, "making the account's directory", () => Promise.resolve());
  }

  /**
   * Which of these hashes are not on disk; the others are safe from `prune` for its grace from now on.
   * @throws PlatformError capsule_failed
   */
  async missing(account: AccountId, kind: FileKind, hashes: readonly string[]): Promise<string[]> {
    if (this.#erased.has(account)) return [...hashes];
    const absent: string[] = [];
    try {
      for (const hash of new Set(hashes)) {
        if (!(await this.#touch(this.#path(account, kind, hash), kind, hash))) absent.push(hash);
      }
    } catch (error) {
      throw diskFailure("looking for the account's files", error);
    }
    return absent;
  }

  /**
   * Stores bytes durably under their SHA-256, as far as the account's disk limit has room; repeating it is harmless.
   * @throws PlatformError invalid_input for other bytes, quota_exceeded, account_gone after `erase`, capsule_failed
   */
  async put(account: AccountId, kind: FileKind, hash: string, bytes: Readable | Uint8Array): Promise<void> {
    await this.#work(account, "storing a file", async (held) => {
      const path = this.#path(account, kind, hash);
      if (await this.#touch(path, kind, hash)) return verifyOnly(hash, chunksOf(bytes, held.erasing.signal));
      const used = await this.#usage(held);
      const nowSeconds = this.#clock.now() / 1000;
      const size = await place(
        {
          path,
          hash,
          mode: KINDS[kind].mode,
          maxBytes: Math.max(0, held.maxDiskBytes - used),
          atimeSeconds: nowSeconds,
          mtimeSeconds: kind === "assets" ? contentTimeSeconds(hash) : nowSeconds,
        },
        chunksOf(bytes, held.erasing.signal),
      );
      if (held.usage) held.usage.bytes += size;
    });
  }

  /** Bytes of an uploaded module. @throws PlatformError capsule_failed when they are not there or not the same any more. */
  async readCode(account: AccountId, hash: string): Promise<Uint8Array> {
    try {
      const handle = await openToRead(this.#path(account, "code", hash));
      try {
        const bytes = await handle.readFile();
        if (createHash("sha256").update(bytes).digest("hex") !== hash) throw new Error(`the file ${hash} has changed on disk`);
        return bytes;
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw diskFailure("reading the account's code", error);
    }
  }

  /**
   * Makes the directories from which workerd serves the spec's assets, as far as they are not there.
   * @throws PlatformError invalid_input for paths that cannot lie side by side, capsule_failed
   */
  async materialise(spec: Pick<CapsuleSpec, "account" | "units" | "limits">): Promise<void> {
    await this.#work(spec.account, "laying out the account's assets", async (held) => {
      held.maxDiskBytes = spec.limits.maxDiskBytes;
      const assets = join(held.directory, "assets");
      const nowSeconds = this.#clock.now() / 1000;
      for (const service of assetsOf(spec)) {
        await growTree(service.files, { store: join(assets, "h"), trees: join(assets, "v"), name: treeName(service), nowSeconds });
      }
    });
  }

  /** Removes what no kept version holds and nobody asked for within the grace. Call it once the spec is being served. */
  async prune(spec: Pick<CapsuleSpec, "account" | "keep" | "units">, graceMs = PRUNE_GRACE_MS): Promise<void> {
    const trees = assetsOf(spec).map(treeName);
    await this.#work(spec.account, "removing files that nothing holds", async (held) => {
      const removed = [
        await this.#sweep(join(held.directory, "code"), new Set(spec.keep.code), graceMs),
        await this.#sweep(join(held.directory, "assets", "v"), new Set(trees), graceMs),
        await this.#sweep(join(held.directory, "assets", "h"), new Set(spec.keep.assets), graceMs),
      ];
      // Measured anew only then: the next upload would wait for it.
      if (removed.some((count) => count > 0)) held.usage = null;
    });
  }

  /** Removes everything of the account, and refuses whatever arrives for it later. Repeating it is harmless. */
  async erase(account: AccountId): Promise<void> {
    this.#remember(account);
    const held = this.#accounts.get(account);
    held?.erasing.abort();
    if (held) await Promise.allSettled(held.work);
    this.#accounts.delete(account);
    try {
      await eraseTree(this.directory(account));
      await syncDirectory(this.#root).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
    } catch (error) {
      throw diskFailure("erasing the account", error);
    }
  }

  /** Bytes that the account takes on disk, a file with several names counted once. @param mostBytes as for `diskUsage` */
  async diskBytes(account: AccountId, mostBytes?: number): Promise<number> {
    try {
      return await diskUsage(this.directory(account), mostBytes);
    } catch (error) {
      throw diskFailure("measuring the account's disk", error);
    }
  }

  /**
   * Lets one user of the system enter: assets readable, state its own, code closed. For rungs where a capsule has a
   * user id of its own; needs root.
   */
  async setOwner(account: AccountId, uid: number): Promise<void> {
    await this.#work(account, "giving the account's directory to its user", (held) => giveTo(held.directory, uid));
  }

  #path(account: AccountId, kind: FileKind, hash: string): string {
    if (!SHA256_HEX.test(hash))
      throw new PlatformError("invalid_input", { message: "The name of a file must be its SHA-256, 64 hexadecimal digits." });
    return join(this.directory(account), ...KINDS[kind].path, hash);
  }

  /** Marks the file as wanted now; false when it is not there. */
  async #touch(path: string, kind: FileKind, hash: string): Promise<boolean> {
    const nowSeconds = this.#clock.now() / 1000;
    try {
      await utimes(path, nowSeconds, kind === "assets" ? contentTimeSeconds(hash) : nowSeconds);
      return true;
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }

  async #usage(held: Account): Promise<number> {
    const now = this.#clock.now();
    if (held.usage === null || now - held.usage.atMs > USAGE_FRESH_MS) {
      held.usage = { bytes: await diskUsage(held.directory), atMs: now };
    }
    return held.usage.bytes;
  }

  /** How many entries it removed. */
  async #sweep(directory: string, keep: ReadonlySet<string>, graceMs: number): Promise<number> {
    let removed = 0;
    for (const name of await readdir(directory)) {
      if (keep.has(name)) continue;
      const path = join(directory, name);
      // An upload under way gives its temporary file another name at any moment.
      const stats = await lstat(path).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
      if (stats === undefined || this.#clock.now() - stats.atimeMs <= graceMs) continue;
      await rm(path, { recursive: true, force: true });
      removed++;
    }
    return removed;
  }

  #remember(account: AccountId): void {
    this.#erased.add(account);
    const [oldest] = this.#erased;
    if (this.#erased.size > ERASED_REMEMBERED && oldest !== undefined) this.#erased.delete(oldest);
  }

  /** Runs one piece of work on an account's directory, made before; `erase` waits for it. */
  async #work<T>(account: AccountId, doing: string, run: (held: Account) => Promise<T>): Promise<T> {
    if (this.#erased.has(account)) throw new PlatformError("account_gone", { message: "The account has ended and its files were erased." });
    const held = this.#accounts.get(account) ?? {
      directory: this.directory(account),
      work: new Set(),
      erasing: new AbortController(),
      maxDiskBytes: this.#maxDiskBytes,
      made: null,
      usage: null,
    };
    this.#accounts.set(account, held);
    held.made ??= makeAccount(this.#root, held.directory);
    const work = held.made.then(() => run(held));
    held.work.add(work);
    try {
      return await work;
    } catch (error) {
      // The directory may have been what failed: make it again next time.
      held.made = null;
      throw diskFailure(doing, error);
    } finally {
      held.work.delete(work);
    }
  }
}
