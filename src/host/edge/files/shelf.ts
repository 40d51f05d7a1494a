// Compressed files in memory, bounded in bytes, in all and for each account, whose own oldest go first. What is on its
// way to a caller stays counted until it has arrived: slow callers fill the shelf, never the memory beyond it.
import type { AccountId } from "../../../kernel/ids.ts";

/** A compressed file, or the knowledge that compressing it does not pay. */
export type Kept = {
  readonly account: AccountId;
  readonly key: string;
  readonly bytes: Buffer | null;
  /** Callers to whom it is on its way. */
  held: number;
};

/** Of an entry beside its bytes: keys, maps, and a Buffer's own. */
const ENTRY_BYTES = 1024;
const sizeOf = (kept: Kept): number => ENTRY_BYTES + (kept.bytes?.length ?? 0);

type Row = { readonly entries: Map<string, Kept>; bytes: number };

export class Shelf {
  readonly #maxBytes: number;
  readonly #shareBytes: number;
  readonly #rows = new Map<AccountId, Row>();
  /** All entries, the least recently used first. */
  readonly #all = new Set<Kept>();
  /** Dropped, but still on their way. */
  readonly #leaving = new Set<Kept>();
  #bytes = 0;

  /** @param shareBytes of one account at most */
  constructor(maxBytes: number, shareBytes: number) {
    this.#maxBytes = maxBytes;
    this.#shareBytes = shareBytes;
  }

  /** In all, with what is on its way. */
  get bytes(): number {
    return this.#bytes;
  }

  find(account: AccountId, key: string): Kept | undefined {
    const row = this.#rows.get(account);
    const kept = row?.entries.get(key);
    if (row === undefined || kept === undefined) return undefined;
    row.entries.delete(key);
    row.entries.set(key, kept);
    this.#all.delete(kept);
    this.#all.add(kept);
    return kept;
  }

  /** Puts it there if room can be made. @param bytes null: not worth it */
  put(account: AccountId, key: string, bytes: Buffer | null): Kept | null {
    const kept: Kept = { account, key, bytes, held: 0 };
    const size = sizeOf(kept);
    const row = this.#rows.get(account) ?? { entries: new Map(), bytes: 0 };
    const old = row.entries.get(key);
    if (old !== undefined) this.#drop(row, old);
    if (!this.#evict(row.entries.values(), () => row.bytes + size <= this.#shareBytes)) return null;
    if (!this.#evict(this.#all, () => this.#bytes + size <= this.#maxBytes)) return null;
    this.#rows.set(account, row);
    row.entries.set(key, kept);
    row.bytes += size;
    this.#all.add(kept);
    this.#bytes += size;
    return kept;
  }

  /** Counts one more caller; the answer says that it has arrived. */
  hold(kept: Kept): () => void {
    kept.held++;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      if (--kept.held === 0 && this.#leaving.delete(kept)) this.#bytes -= sizeOf(kept);
    };
  }

  /** Forgets everything of the account. */
  clear(account: AccountId): void {
    const row = this.#rows.get(account);
    if (row !== undefined) for (const kept of row.entries.values()) this.#drop(row, kept);
  }

  #evict(oldest: Iterable<Kept>, enough: () => boolean): boolean {
    for (const kept of oldest) {
      if (enough()) return true;
      const row = this.#rows.get(kept.account);
      if (kept.held === 0 && row !== undefined) this.#drop(row, kept);
    }
    return enough();
  }

  #drop(row: Row, kept: Kept): void {
    row.entries.delete(kept.key);
    row.bytes -= sizeOf(kept);
    this.#all.delete(kept);
    if (row.entries.size === 0) this.#rows.delete(kept.account);
    if (kept.held > 0) this.#leaving.add(kept);
    else this.#bytes -= sizeOf(kept);
  }
}
