// Ours, trusted: the Cache API of an account's Workers. Speaks what workerd's `caches` speaks: PUT of a whole HTTP
// response, GET to match, PURGE to delete; the binding's props name the Worker, whose entries no other Worker sees.
// All entries of the account share one bound: the least recently used go first. Source: RFC 9111 §3, §4.2, RFC 9110 §13, §14.
import { DurableObject } from "cloudflare:workers";

const MAX_ENTRY_BYTES = 16_777_216;
const MAX_TOTAL_BYTES = 67_108_864;
const MAX_ENTRIES = 10_000;
/** SQLite's rows are bounded, and a range need not read all. */
const CHUNK_BYTES = 524_288;
const MAX_HEAD_BYTES = 131_072;
/** In place of the time until which an entry is fresh, while its body comes in. */
const PENDING = 0;
/** A use is written down when the last one is older. */
const USED_MS = 60_000;
/** What the hosted original's edge keeps answers that say nothing about it, in seconds, by status. */
const DEFAULT_SECONDS = new Map([
  [200, 7_200],
  [301, 7_200],
  [302, 1_200],
  [303, 1_200],
  [404, 180],
  [410, 180],
]);

/** Directives of Cache-Control in lower case, with their values or true. */
function directives(text) {
  const found = new Map();
  for (const [, name, quoted, plain] of (text ?? "").matchAll(/([\w-]+)(?:=(?:"([^"]*)"|([^,\s;]*)))?/g)) {
    found.set(name.toLowerCase(), quoted ?? plain ?? true);
  }
  return found;
}

const seconds = (value) => (/^\d+$/.test(value) ? Number(value) : 0);

/** How long the answer may be kept, in seconds; 0 when it may not. Removes the cookie that the answer itself calls private. */
function freshness(status, headers) {
  const said = directives(headers.get("cache-control"));
  if (said.get("private") === "set-cookie" || said.get("private") === "Set-Cookie") {
    headers.delete("set-cookie");
    said.delete("private");
  }
  if (headers.has("set-cookie") || ["no-store", "private", "no-cache"].some((name) => said.has(name))) return 0;
  if (said.has("s-maxage")) return seconds(said.get("s-maxage"));
  if (said.has("max-age")) return seconds(said.get("max-age"));
  const expires = headers.get("expires");
  if (expires !== null) return Math.max(0, Math.floor(((Date.parse(expires) || 0) - Date.now()) / 1000));
  return DEFAULT_SECONDS.get(status) ?? 0;
}

/** Where a head ends, and the body after it begins; -1 while it goes on. */
function endOfHead(bytes) {
  for (let at = 0; at + 3 < bytes.length; at++) {
    if (bytes[at] === 13 && bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) return at;
  }
  return -1;
}

/** Status, headers and body of the response in a PUT's body: what follows the head is the body as it is, whatever the head says of chunks. */
async function parse(stream) {
  const reader = stream.getReader();
  let bytes = new Uint8Array(0);
  let end = -1;
  while (end < 0 && bytes.length < MAX_HEAD_BYTES) {
    const { done, value } = await reader.read();
    if (done) return null;
    const more = new Uint8Array(bytes.length + value.length);
    more.set(bytes);
    more.set(value, bytes.length);
    bytes = more;
    end = endOfHead(bytes);
  }
  if (end < 0) return null;
  reader.releaseLock();
  const [first, ...lines] = new TextDecoder("latin1").decode(bytes.subarray(0, end)).split("\r\n");
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    if (colon > 0 && name !== "transfer-encoding") headers.append(name, line.slice(colon + 1).trim());
  }
  const { readable, writable } = new IdentityTransformStream();
  const pouring = pour(bytes.slice(end + 4), stream, writable);
  return { status: Number(/^HTTP\/\S+ (\d{3})/.exec(first)?.[1]), headers, body: readable, pouring };
}

async function pour(begin, rest, writable) {
  const writer = writable.getWriter();
  if (begin.length > 0) await writer.write(begin);
  writer.releaseLock();
  await rest.pipeTo(writable);
}

const tag = (text) => text.trim().replace(/^W\//, "");

/** Whether the caller has what is kept already. */
function isKnown(request, headers) {
  const etag = headers.get("etag");
  const wanted = request.get("if-none-match");
  if (wanted !== null) return etag !== null && (wanted.trim() === "*" || wanted.split(",").some((one) => tag(one) === tag(etag)));
  const since = Date.parse(request.get("if-modified-since") ?? "");
  return Date.parse(headers.get("last-modified") ?? "") <= since;
}

/** First and last byte of a single range; null where there is none to keep to, undefined where it cannot be had. */
function rangeOf(text, size) {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(text?.trim() ?? "") ?? [];
  if (from === undefined || (from === "" && to === "")) return null;
  if (from === "") return Number(to) === 0 ? undefined : { first: Math.max(0, size - Number(to)), last: size - 1 };
  const last = to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (to !== "" && Number(to) < Number(from)) return null;
  return Number(from) >= size ? undefined : { first: Number(from), last };
}

const miss = () => new Response(null, { status: 504, headers: { "cf-cache-status": "MISS" } });

async function match(request, store, key) {
  const found = await store.find(key);
  if (found === null) return miss();
  const headers = new Headers(found.headers);
  headers.set("cf-cache-status", "HIT");
  headers.set("age", String(found.age));
  if (isKnown(request.headers, headers)) return new Response(null, { status: 304, headers });
  const range = found.status === 200 ? rangeOf(request.headers.get("range"), found.size) : null;
  if (range === undefined) {
    headers.set("content-range", `bytes */${found.size}`);
    return new Response(null, { status: 416, headers });
  }
  const { first, last } = range ?? { first: 0, last: found.size - 1 };
  headers.set("content-length", String(last - first + 1));
  if (range !== null) headers.set("content-range", `bytes ${first}-${last}/${found.size}`);
  const bare = found.size === 0 || [204, 205, 304].includes(found.status);
  return new Response(bare ? null : await body(store, found.id, first, last), {
    status: range === null ? found.status : 206,
    headers,
    // What was kept under a Content-Encoding is kept as it was sent.
    encodeBody: "manual",
  });
}

async function body(store, id, first, last) {
  const { readable, writable } = new FixedLengthStream(last - first + 1);
  // A reader that leaves early is no fault of anybody.
  (await store.read(id, first, last)).pipeTo(writable).catch(() => {});
  return readable;
}

async function put(request, store, key) {
  const refused = new Response(null, { status: 413 });
  const sent = await parse(request.body);
  const ttl = sent === null ? 0 : freshness(sent.status, sent.headers);
  if (ttl <= 0) return refused;
  const kept = store.keep(key, sent.status, [...sent.headers], sent.body, ttl * 1000);
  sent.pouring.catch(() => {});
  return (await kept) ? new Response(null, { status: 204 }) : refused;
}

export default {
  async fetch(request, env, ctx) {
    const { worker } = ctx.props;
    const space = request.headers.get("cf-cache-namespace") ?? "";
    const key = JSON.stringify([worker, space, request.url]);
    const store = env.STORE.getByName("cache");
    if (request.method === "GET") return match(request, store, key);
    if (request.method === "PUT") return put(request, store, key);
    if (request.method === "PURGE") return new Response(null, { status: (await store.remove(key)) ? 200 : 404 });
    return new Response(null, { status: 405 });
  },
};

export class CacheStore extends DurableObject {
  #sql;

  constructor(ctx, env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, status INTEGER NOT NULL,
      headers TEXT NOT NULL, size INTEGER NOT NULL, kept INTEGER NOT NULL, until INTEGER NOT NULL, used INTEGER NOT NULL)`);
    this.#sql.exec("CREATE INDEX IF NOT EXISTS entries_used ON entries(used)");
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS chunks (entry INTEGER NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (entry, at))",
    );
    // What a process that was killed had begun to take.
    for (const { id } of this.#sql.exec("SELECT id FROM entries WHERE until = ?", PENDING).toArray()) this.#drop(id);
  }

  find(key) {
    const now = Date.now();
    const [row] = this.#sql.exec("SELECT id, status, headers, size, kept, used FROM entries WHERE key = ? AND until > ?", key, now);
    if (row === undefined) return null;
    if (row.used < now - USED_MS) this.#sql.exec("UPDATE entries SET used = ? WHERE id = ?", now, row.id);
    const { id, status, size } = row;
    return { id, status, size, headers: JSON.parse(row.headers), age: Math.floor((now - row.kept) / 1000) };
  }

  /** Bytes from `first` to `last`, both included, a chunk at a time; fails where the entry goes meanwhile. */
  read(id, first, last) {
    let next = Math.floor(first / CHUNK_BYTES);
    return new ReadableStream({
      type: "bytes",
      pull: (controller) => {
        const begin = next * CHUNK_BYTES;
        if (begin > last) return controller.close();
        const [row] = this.#sql.exec("SELECT bytes FROM chunks WHERE entry = ? AND at = ?", id, next++);
        if (row === undefined) return controller.error(new Error("The entry was evicted."));
        controller.enqueue(new Uint8Array(row.bytes).slice(Math.max(0, first - begin), last + 1 - begin));
        if (next * CHUNK_BYTES > last) controller.close();
      },
    });
  }

  /** Whether the whole body was taken; until it was, an earlier entry of the key stands. */
  async keep(key, status, headers, body, ttlMs) {
    const { id } = this.#sql
      .exec(
        "INSERT INTO entries (key, status, headers, size, kept, until, used) VALUES (?, ?, ?, 0, 0, ?, 0) RETURNING id",
        `pending ${crypto.randomUUID()}`,
        status,
        JSON.stringify(headers),
        PENDING,
      )
      .one();
    const size = await this.#take(id, body).catch(() => null);
    if (size === null) {
      this.#drop(id);
      return false;
    }
    const now = Date.now();
    this.ctx.storage.transactionSync(() => {
      this.remove(key);
      this.#makeRoom(size, now);
      this.#sql.exec(
        "UPDATE entries SET key = ?, size = ?, kept = ?, until = ?, used = ? WHERE id = ?",
        key,
        size,
        now,
        now + ttlMs,
        now,
        id,
      );
    });
    return true;
  }

  /** Stores a body in chunks; its size, or null for one that is too large. */
  async #take(id, body) {
    let held = new Uint8Array(CHUNK_BYTES);
    let filled = 0;
    let at = 0;
    const store = () => this.#sql.exec("INSERT INTO chunks VALUES (?, ?, ?)", id, at++, held.slice(0, filled));
    for await (let part of body) {
      if (at * CHUNK_BYTES + filled + part.length > MAX_ENTRY_BYTES) return null;
      while (part.length > 0) {
        const taken = part.subarray(0, CHUNK_BYTES - filled);
        held.set(taken, filled);
        filled += taken.length;
        part = part.subarray(taken.length);
        if (filled < CHUNK_BYTES) continue;
        store();
        filled = 0;
      }
    }
    const size = at * CHUNK_BYTES + filled;
    if (filled > 0) store();
    held = null;
    return size;
  }

  /** Whether there was one that could still have been matched. */
  remove(key) {
    const [row] = this.#sql.exec("SELECT id, until FROM entries WHERE key = ?", key);
    if (row === undefined) return false;
    this.#drop(row.id);
    return row.until > Date.now();
  }

  #makeRoom(bytes, now) {
    for (const { id } of this.#sql.exec("SELECT id FROM entries WHERE until <= ? AND until > ?", now, PENDING).toArray()) this.#drop(id);
    let { count, total } = this.#sql
      .exec("SELECT count(*) AS count, coalesce(sum(size), 0) AS total FROM entries WHERE until > ?", PENDING)
      .one();
    if (count < MAX_ENTRIES && total + bytes <= MAX_TOTAL_BYTES) return;
    for (const { id, size } of this.#sql.exec("SELECT id, size FROM entries WHERE until > ? ORDER BY used", PENDING).toArray()) {
      if (count < MAX_ENTRIES && total + bytes <= MAX_TOTAL_BYTES) return;
      this.#drop(id);
      count -= 1;
      total -= size;
    }
  }

  #drop(id) {
    this.#sql.exec("DELETE FROM chunks WHERE entry = ?", id);
    this.#sql.exec("DELETE FROM entries WHERE id = ?", id);
  }
}
