// The lines of one account's log on disk: files of bounded size under logs/, named by a rising number, the oldest
// dropped first. Lines are gathered and appended together; what cannot be written in time is left out and counted.
import { constants } from "node:fs";
import { lstat, open, readdir, readFile, rename, rm, writeFile, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isAbsent, makeDirectory, openToRead } from "../capsules/files/durable.ts";
import { Lines, type Block } from "./lines.ts";

/** What gave way to newer lines since the account began or was never written down, and the time of the newest of it. */
export type Dropped = { readonly records: number; readonly untilMs: number };

type Segment = {
  readonly seq: number;
  bytes: number;
  /** Null for one of an earlier life, which nobody has counted. */
  counted: { records: number; newestMs: number } | null;
};

const NAME = /^(\d{8})\.ndjson$/;
const DROPPED_FILE = "dropped.json";
/** Of lines that wait to be written, and from when they no longer wait for the time. */
const MAX_WAITING_BYTES = 2_097_152;
const EAGER_BYTES = 524_288;
const FLUSH_MS = 200;
const LEAST_SEGMENT_BYTES = 4_096;
const SEGMENTS = 8;
/** The last time that can be told. */
const LAST_MS = 8.64e15;

export const nameOf = (seq: number): string => `${String(seq).padStart(8, "0")}.ndjson`;

export type SegmentsOptions = {
  /** `logs` in the account's directory; made when something is written, never its parent. */
  readonly directory: string;
  readonly maxBytes: number;
  readonly now: () => number;
  readonly onTrouble: (error: unknown) => void;
  /** What must be over before the directory is touched. */
  readonly after: Promise<void>;
};

export class Segments {
  readonly #options: SegmentsOptions;
  #opened: Promise<void> | null = null;
  #segments: Segment[] = [];
  #handle: FileHandle | null = null;
  #dropped: Dropped | null = null;
  /** What the disk says of it. */
  #told: Dropped | null = null;
  readonly #waiting: Lines;
  readonly #segmentBytes: number;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void>;
  /** Whether a write is coming because so much waits. */
  #hurried = false;
  /** Whether the last write failed: told once, not at each. */
  #troubled = false;
  #closed = false;

  constructor(options: SegmentsOptions) {
    this.#options = options;
    this.#writing = options.after;
    this.#segmentBytes = Math.max(LEAST_SEGMENT_BYTES, Math.floor(options.maxBytes / SEGMENTS));
    this.#waiting = new Lines(MAX_WAITING_BYTES, this.#segmentBytes);
  }

  /** Takes a record's line without its end. Never waits. */
  append(line: string, atMs: number): void {
    if (this.#closed || this.#options.maxBytes === 0) return;
    if (!this.#waiting.add(line, atMs)) return this.lose(1);
    if (this.#waiting.bytes >= EAGER_BYTES && !this.#hurried) {
      this.#hurried = true;
      void this.flush();
    } else this.#timer ??= setTimeout(() => void this.flush(), FLUSH_MS).unref();
  }

  /** Counts lines that were never seen. */
  lose(records: number): void {
    if (records === 0 || this.#options.maxBytes === 0) return;
    this.#dropped = sum(this.#dropped, { records, untilMs: this.#options.now() });
  }

  /** Resolves once everything taken so far is in its file, or was given up. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  /** What is there, oldest first, after everything taken so far was written. */
  async list(): Promise<readonly Readonly<Segment>[]> {
    await this.flush();
    await this.#open();
    return this.#segments.map((segment) => ({ ...segment }));
  }

  /** Resolves once what is being written has been. */
  settled(): Promise<void> {
    return this.#writing;
  }

  get dropped(): Dropped | null {
    return this.#dropped;
  }

  /** The bytes of a segment from its beginning up to `bytes`; empty when it was dropped meanwhile. */
  async read(seq: number, bytes: number): Promise<Buffer> {
    try {
      const handle = await openToRead(join(this.#options.directory, nameOf(seq)));
      try {
        const buffer = Buffer.alloc(bytes);
        const { bytesRead } = await handle.read(buffer, 0, bytes, 0);
        return buffer.subarray(0, bytesRead);
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (isAbsent(error)) return Buffer.alloc(0);
      throw error;
    }
  }

  /** Writes nothing any more; resolves when nothing is under way. @param keep whether what waits is written first */
  async close(keep: boolean): Promise<void> {
    if (!keep) {
      this.#closed = true;
      this.#waiting.take();
    }
    await this.flush();
    this.#closed = true;
    await this.#handle?.close();
    this.#handle = null;
  }

  #open(): Promise<void> {
    this.#opened ??= this.#load().catch((error: unknown) => {
      // What failed once is tried again by whoever comes next.
      this.#opened = null;
      throw error;
    });
    return this.#opened;
  }

  async #load(): Promise<void> {
    const { directory } = this.#options;
    const found: Segment[] = [];
    let told: Dropped | null = null;
    for (const name of await namesIn(directory)) {
      const seq = NAME.exec(name)?.[1];
      if (seq === undefined && name !== DROPPED_FILE) continue;
      const path = join(directory, name);
      const stats = await lstat(path);
      // Nobody but this host writes here: anything but a file was put in one's place.
      if (!stats.isFile()) await rm(path, { recursive: true, force: true });
      else if (seq === undefined) told = readDropped(await readFile(path, "utf8"));
      else found.push({ seq: Number(seq), bytes: stats.size, counted: null });
    }
    this.#segments = found;
    this.#told = told;
    this.#dropped = sum(told, this.#dropped);
  }

  async #write(): Promise<void> {
    this.#hurried = false;
    const blocks = this.#waiting.take();
    if (this.#closed || (blocks.length === 0 && this.#dropped === this.#told)) return;
    let written = 0;
    try {
      await this.#open();
      for (; written < blocks.length; written++) await this.#writeBlock(blocks[written] as Block);
      await this.#makeRoom();
      if (this.#dropped !== this.#told) await this.#tellDropped();
      this.#troubled = false;
    } catch (error) {
      await this.#letGo();
      // Without its directory the account is being erased, or was never here.
      if (!isAbsent(error) && !this.#troubled) this.#options.onTrouble(error);
      this.#troubled = true;
      this.lose(blocks.slice(written).reduce((sum, { records }) => sum + records, 0));
    }
  }

  async #writeBlock({ bytes, records, newestMs }: Block): Promise<void> {
    let segment = this.#segments.at(-1);
    if (segment === undefined || segment.bytes >= this.#segmentBytes) {
      await this.#letGo();
      segment = { seq: (segment?.seq ?? 0) + 1, bytes: 0, counted: { records: 0, newestMs: 0 } };
      this.#segments.push(segment);
    }
    const handle = (this.#handle ??= await this.#openSegment(segment));
    await handle.writeFile(bytes);
    segment.bytes += bytes.length;
    if (segment.counted === null) return;
    segment.counted.records += records;
    segment.counted.newestMs = Math.max(segment.counted.newestMs, newestMs);
  }

  async #openSegment(segment: Segment): Promise<FileHandle> {
    const { directory } = this.#options;
    await makeDirectory(directory, 0o700);
    const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
    const handle = await open(join(directory, nameOf(segment.seq)), flags, 0o600);
    try {
      // A write that failed may have left a part of itself.
      segment.bytes = (await handle.stat()).size;
      if (segment.bytes > 0) {
        // A crash may have cut its last line short: the next one must not continue it.
        const last = Buffer.alloc(1);
        await handle.read(last, 0, 1, segment.bytes - 1);
        if (last[0] !== 10) {
          await handle.writeFile("\n");
          segment.bytes++;
        }
      }
      return handle;
    } catch (error) {
      await handle.close().catch(() => {});
      throw error;
    }
  }

  async #letGo(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close().catch(() => {});
  }

  async #makeRoom(): Promise<void> {
    let total = this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
    while (total > this.#options.maxBytes && this.#segments.length > 1) {
      const oldest = this.#segments.shift();
      if (oldest === undefined) break;
      total -= oldest.bytes;
      const { records, newestMs } = oldest.counted ?? countIn(await this.read(oldest.seq, oldest.bytes));
      await rm(join(this.#options.directory, nameOf(oldest.seq)), { force: true });
      this.#dropped = sum(this.#dropped, { records, untilMs: newestMs });
    }
  }

  async #tellDropped(): Promise<void> {
    const { directory } = this.#options;
    const path = join(directory, DROPPED_FILE);
    const dropped = this.#dropped;
    await makeDirectory(directory, 0o700);
    await rm(`${path}.new`, { force: true });
    await writeFile(`${path}.new`, JSON.stringify(dropped), { mode: 0o600, flag: "wx" });
    await rename(`${path}.new`, path);
    this.#told = dropped;
  }
}

/** One of them itself where the other has nothing to add. */
function sum(one: Dropped | null, other: Dropped | null): Dropped | null {
  if (one === null || other === null) return one ?? other;
  return { records: one.records + other.records, untilMs: Math.max(one.untilMs, other.untilMs) };
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).toSorted();
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/** Null where a crash cut it short or it says nothing of sense: what it told is lost with it. */
function readDropped(text: string): Dropped | null {
  try {
    return z.object({ records: z.int().min(1), untilMs: z.int().min(0).max(LAST_MS) }).parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** How many records lie in lines of our own making, and the time of the newest. */
function countIn(bytes: Buffer): { records: number; newestMs: number } {
  let records = 0;
  let newestMs = 0;
  // Every line begins so; a tenant's text comes later in it, and has no line's end.
  for (const [, atMs] of bytes.toString("latin1").matchAll(/^\{"kind":"[a-z]+","atMs":(\d+)/gm)) {
    records++;
    newestMs = Math.max(newestMs, Number(atMs));
  }
  return { records, newestMs };
}
