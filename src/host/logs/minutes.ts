// How an account did, minute by minute: counts, times as a histogram whose buckets are 10 % apart and tell a time to within
// 5 %, CPU of the process. The current minute is in memory, as are some that could not be written; earlier ones are lines of
// a file, those of the last day and no more.
import { constants } from "node:fs";
import { open, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OTHER_WORKERS, type MetricsMinute } from "../../capsule/logs.ts";
import { isAbsent, makeDirectory, openToRead } from "../capsules/files/durable.ts";

const MINUTE_MS = 60_000;
const KEPT_MS = 1_440 * MINUTE_MS;
const FILE = "minutes.ndjson";
/** Beyond it the file is written anew without what is too old. */
const MAX_FILE_BYTES = 2_097_152;
/** Workers told apart in one minute; all others are one row, named OTHER_WORKERS. */
const MAX_WORKERS = 64;
/** Rows that wait for the disk to take them again; the oldest go first. */
const MAX_UNWRITTEN = 1_024;
const STEP = Math.log(1.1);
/** Bucket 0 ends here. */
const LEAST_MS = 0.05;
const BUCKETS = 220;

type Counts = { requests: number; errors: number; readonly buckets: Uint32Array };
/** Of one minute and Worker, as it lies in the file: buckets sparse. */
type Row = { atMs: number; worker: string | null; requests: number; errors: number; cpuMs: number | null; times: [number, number][] };

function bucketOf(ms: number): number {
  return ms <= LEAST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / LEAST_MS) / STEP));
}

/** The geometric middle of a bucket. */
function valueOf(bucket: number): number {
  return bucket === 0 ? LEAST_MS : Number((LEAST_MS * Math.exp((bucket - 0.5) * STEP)).toPrecision(4));
}

function quantile(times: readonly (readonly [number, number])[], total: number, share: number): number {
  let left = Math.ceil(total * share);
  for (const [bucket, count] of times) {
    left -= count;
    if (left <= 0) return valueOf(bucket);
  }
  return 0;
}

function told({ atMs, worker, requests, errors, cpuMs, times }: Row): MetricsMinute {
  const sorted = times.toSorted(([a], [b]) => a - b);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  const of = (share: number): number => quantile(sorted, total, share);
  return { atMs, worker, requests, errors, cpuMs, wallMs: total === 0 ? null : { p50: of(0.5), p90: of(0.9), p99: of(0.99) } };
}

/** Rows of one minute and Worker as one: a restart within the minute leaves two. */
function merge(rows: readonly Row[]): Row[] {
  const merged = new Map<string, Row>();
  for (const row of rows) {
    const key = `${row.atMs} ${row.worker ?? ""}`;
    const held = merged.get(key);
    if (held === undefined) {
      merged.set(key, row);
      continue;
    }
    const times = new Map(held.times);
    for (const [bucket, count] of row.times) times.set(bucket, (times.get(bucket) ?? 0) + count);
    const cpuMs = held.cpuMs === null && row.cpuMs === null ? null : (held.cpuMs ?? 0) + (row.cpuMs ?? 0);
    merged.set(key, { ...held, requests: held.requests + row.requests, errors: held.errors + row.errors, cpuMs, times: [...times] });
  }
  return [...merged.values()];
}

export class Minutes {
  readonly #directory: string;
  #atMs = 0;
  readonly #workers = new Map<string, Counts>();
  #cpuMs = 0;
  /** Of minutes that are over, oldest first. */
  #unwritten: Row[] = [];
  #writing: Promise<void>;
  readonly #onTrouble: (error: unknown) => void;
  /** Whether the last write failed: told once, not at each. */
  #troubled = false;

  /**
   * @param directory `logs` in the account's directory; made when something is written, never its parent
   * @param after what must be over before it is touched
   */
  constructor(directory: string, after: Promise<void>, onTrouble: (error: unknown) => void) {
    this.#directory = directory;
    this.#writing = after;
    this.#onTrouble = onTrouble;
  }

  count(worker: string, nowMs: number, wallMs: number, failed: boolean): void {
    this.#turn(nowMs);
    const counts = this.#workers.get(worker) ?? this.#begin(worker);
    counts.requests++;
    if (failed) counts.errors++;
    const bucket = bucketOf(wallMs);
    counts.buckets[bucket] = (counts.buckets[bucket] ?? 0) + 1;
  }

  #begin(worker: string): Counts {
    const row = this.#workers.size >= MAX_WORKERS ? OTHER_WORKERS : worker;
    const counts = this.#workers.get(row) ?? { requests: 0, errors: 0, buckets: new Uint32Array(BUCKETS) };
    this.#workers.set(row, counts);
    return counts;
  }

  /** CPU that the process used since it was last told. */
  cpu(nowMs: number, cpuMs: number): void {
    if (cpuMs <= 0) return;
    this.#turn(nowMs);
    this.#cpuMs += cpuMs;
  }

  /** Resolves once what is counted lies in the file, as far as it can. */
  close(): Promise<void> {
    this.#put();
    return this.#writing;
  }

  /** Forgets what was counted; resolves when nothing is being written. */
  forget(): Promise<void> {
    this.#workers.clear();
    this.#cpuMs = 0;
    this.#unwritten = [];
    return this.#writing;
  }

  /** Oldest first. */
  async read(sinceMs: number, untilMs: number, nowMs: number): Promise<MetricsMinute[]> {
    // In turn with the writes: no row is on its way from memory to the file meanwhile.
    const reading = this.#writing.then(async () => {
      const held = [...this.#unwritten, ...this.#current()];
      return merge([...(await this.#rows()), ...held]);
    });
    this.#writing = reading.then(
      () => undefined,
      () => undefined,
    );
    const rows = await reading;
    const from = Math.max(sinceMs, nowMs - KEPT_MS);
    return rows
      .filter(({ atMs }) => atMs + MINUTE_MS > from && atMs <= untilMs)
      .map(told)
      .toSorted((a, b) => a.atMs - b.atMs);
  }

  /** Ends the minute when another has begun. */
  #turn(nowMs: number): void {
    const atMs = nowMs - (nowMs % MINUTE_MS);
    if (atMs === this.#atMs) return;
    this.#put();
    this.#atMs = atMs;
  }

  #current(): Row[] {
    const rows: Row[] = [...this.#workers].map(([worker, { requests, errors, buckets }]) => ({
      atMs: this.#atMs,
      worker,
      requests,
      errors,
      cpuMs: null,
      times: [...buckets.entries()].filter(([, count]) => count > 0),
    }));
    if (this.#cpuMs > 0) rows.push({ atMs: this.#atMs, worker: null, requests: 0, errors: 0, cpuMs: Math.round(this.#cpuMs), times: [] });
    return rows;
  }

  #put(): void {
    this.#unwritten.push(...this.#current());
    this.#unwritten.splice(0, this.#unwritten.length - MAX_UNWRITTEN);
    this.#workers.clear();
    this.#cpuMs = 0;
    this.#writing = this.#writing.then(() => this.#write());
  }

  async #write(): Promise<void> {
    const rows = new Set(this.#unwritten);
    if (rows.size === 0) return;
    try {
      const path = join(this.#directory, FILE);
      await makeDirectory(this.#directory, 0o700);
      const bytes = await append(path, [...rows].map((row) => `${JSON.stringify(row)}\n`).join(""));
      this.#unwritten = this.#unwritten.filter((row) => !rows.has(row));
      if (bytes > MAX_FILE_BYTES) await this.#shorten(path);
      this.#troubled = false;
    } catch (error) {
      // Without its directory the account is being erased, or was never here. The next minute tries again.
      if (!isAbsent(error) && !this.#troubled) this.#onTrouble(error);
      this.#troubled = true;
    }
  }

  async #shorten(path: string): Promise<void> {
    const rows = await this.#rows();
    const newestMs = Math.max(...rows.map(({ atMs }) => atMs));
    const kept = rows.filter(({ atMs }) => atMs > newestMs - KEPT_MS);
    let text = kept.map((row) => `${JSON.stringify(row)}\n`).join("");
    // A day of very many Workers may be too much by itself: the older half goes.
    if (text.length > MAX_FILE_BYTES) text = text.slice(text.indexOf("\n", text.length / 2) + 1);
    await rm(`${path}.new`, { force: true });
    await writeFile(`${path}.new`, text, { mode: 0o600, flag: "wx" });
    await rename(`${path}.new`, path);
  }

  async #rows(): Promise<Row[]> {
    let text: string;
    try {
      const handle = await openToRead(join(this.#directory, FILE));
      try {
        text = await handle.readFile("utf8");
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
    return text.split("\n").flatMap((line) => {
      try {
        return line === "" ? [] : [JSON.parse(line) as Row];
      } catch {
        // A crash cut it short.
        return [];
      }
    });
  }
}

/** Appends all of the text or nothing of it. Answers how long the file is now. */
async function append(path: string, text: string): Promise<number> {
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
  const handle = await open(path, flags, 0o600);
  try {
    const { size } = await handle.stat();
    try {
      await handle.writeFile(text);
    } catch (error) {
      await handle.truncate(size).catch(() => {});
      throw error;
    }
    return size + Buffer.byteLength(text);
  } finally {
    await handle.close();
  }
}
