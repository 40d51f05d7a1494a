// KV over workerd's own module: the same protocol and files, with what that lacks. Values stream to and from their
// files, the account's bytes are counted as they are written and never pass its cap, and control has an entrypoint.
// The Worker and all its objects share one isolate, which is what the running total stands on.
import { WorkerEntrypoint } from "cloudflare:workers";
import base, { KVNamespace as Base } from "./bundled.js";
import { giveWay } from "./give-way.js";

/** Larger values are files, as the module below has it. */
const INLINE_BYTES = 65_536;
const VALUE_BYTES = 26_214_400;
const METADATA_BYTES = 1_024;
const CHUNK_BYTES = 65_536;
const BULK_READ_BYTES = 26_214_400;
/** A value's file can be replaced between the look at its row and the look at it. */
const READS = 4;

class Refusal extends Error {
  constructor(status, reason, message) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

const full = (maxBytes) =>
  new Refusal(413, "full", `KV of this account is full: its keys, values and metadata may take ${maxBytes} bytes. Delete some first.`);

// ------------------------------------------------------------------ what the account holds

/** Object id → bytes of its namespace. */
const held = new Map();
let total = 0;
/** Of values that are being written to their files. */
let arriving = 0;
let counting;

function note(id, bytes) {
  total += bytes - (held.get(id) ?? 0);
  held.set(id, bytes);
}

const ofAccount = (env, bytes) => total + arriving + bytes > env.MAX_BYTES;

async function countAll(env) {
  const listing = await env.BLOBS.fetch("http://blobs/kv");
  const files = listing.ok ? await listing.json() : [];
  for (const { name } of files) {
    const [, id] = /^([0-9a-f]{64})\.sqlite$/.exec(name) ?? [];
    if (id !== undefined) await env.SHARD.get(env.SHARD.idFromString(id)).usage();
  }
}

/** Every namespace is counted once a life of the process; afterwards each tells what it holds when that changes. */
function counted(env) {
  counting ??= countAll(env).catch((error) => {
    counting = undefined;
    throw error;
  });
  return counting;
}

// ------------------------------------------------------------------ a namespace's object

const sizeOf = (row) => `(length(CAST(${row}.key AS BLOB)) + coalesce(length(${row}.value), 0)
  + coalesce(length(CAST(${row}.metadata AS BLOB)), 0)
  + coalesce((SELECT bytes FROM mayfly_files WHERE blob = ${row}.blob), 0))`;

/** Rows come and go within the module below; the sum follows them by triggers. */
const TABLES = [
  "CREATE TABLE mayfly_files (blob TEXT PRIMARY KEY, bytes INTEGER NOT NULL)",
  "CREATE TABLE mayfly_usage (keys INTEGER NOT NULL, bytes INTEGER NOT NULL)",
  "INSERT INTO mayfly_usage VALUES (0, 0)",
  `CREATE TRIGGER mayfly_comes AFTER INSERT ON entries BEGIN
    UPDATE mayfly_usage SET keys = keys + 1, bytes = bytes + ${sizeOf("new")};
  END`,
  `CREATE TRIGGER mayfly_goes AFTER DELETE ON entries BEGIN
    UPDATE mayfly_usage SET keys = keys - 1, bytes = bytes - ${sizeOf("old")};
    DELETE FROM mayfly_files WHERE blob = old.blob;
  END`,
];

const utf8Length = (text) => (text === null ? 0 : new TextEncoder().encode(text).byteLength);

export class KVNamespace extends Base {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.transactionSync(() => {
      const there = this.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'mayfly_usage'").toArray();
      if (there.length === 0) for (const statement of TABLES) this.sql.exec(statement);
    });
    this.usage();
  }

  /** @returns keys and bytes, what has expired but was not swept yet included */
  usage() {
    const usage = this.sql.exec("SELECT keys, bytes FROM mayfly_usage").one();
    note(this.ctx.id.toString(), usage.bytes);
    return usage;
  }

  #sizeOf(key) {
    const row = this.sql.exec(`SELECT ${sizeOf("entries")} AS bytes FROM entries WHERE key = ?`, key).toArray()[0];
    return row?.bytes ?? 0;
  }

  /** Before a value's file is written. @returns bytes of what it replaces */
  begin(key, blob) {
    this.reserve(key, blob);
    return this.#sizeOf(key);
  }

  /** A file that no row will name goes now rather than in ten minutes. */
  release(blob) {
    this.sql.exec("UPDATE garbage SET due = 0, key = NULL WHERE blob = ?", blob);
    this.ctx.storage.setAlarm(Date.now());
  }

  /**
   * Writes all of it or, where it would pass the account's cap, nothing.
   * @param entries {key, value, blob, bytes, expiration, metadata}, the bytes those of the value
   * @returns whether it was written
   */
  commit(entries) {
    const last = new Map(entries.map((entry) => [entry.key, entry]));
    let more = 0;
    for (const { key, bytes, metadata } of last.values()) more += utf8Length(key) + bytes + utf8Length(metadata) - this.#sizeOf(key);
    if (more > 0 && ofAccount(this.env, more)) return false;
    this.ctx.storage.transactionSync(() => {
      for (const { key, value, blob, bytes, expiration, metadata } of last.values()) {
        if (blob !== null) this.sql.exec("INSERT INTO mayfly_files VALUES (?, ?)", blob, bytes);
        this.write(key, value, blob, expiration, metadata);
      }
    });
    this.usage();
    return true;
  }

  remove(key) {
    const version = super.remove(key);
    this.usage();
    return version;
  }

  removeAll(keys) {
    this.ctx.storage.transactionSync(() => {
      for (const key of keys) super.remove(key);
    });
    this.usage();
  }

  async alarm() {
    await super.alarm();
    this.usage();
  }

  /** Deletes everything; the object is of no use afterwards. */
  async purge() {
    const blobs = this.sql.exec("SELECT blob FROM entries WHERE blob IS NOT NULL UNION SELECT blob FROM garbage").toArray();
    for (const { blob } of blobs) {
      const deleted = await this.env.BLOBS.fetch(`http://blobs/${blob}`, { method: "DELETE" });
      if (!deleted.ok && deleted.status !== 404) throw new Error(`A value's file could not be deleted: ${deleted.status}.`);
    }
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    note(this.ctx.id.toString(), 0);
  }

  abort() {
    this.ctx.abort("The namespace is deleted.");
  }
}

function spaceOf(env, props) {
  const id = env.SHARD.idFromName(props.namespace);
  return { dir: id.toString(), shard: env.SHARD.get(id) };
}

// ------------------------------------------------------------------ values

class Body {
  reader;

  constructor(body) {
    this.reader = (body ?? new Response("").body).getReader({ mode: "byob" });
  }

  /** Whoever still sends would hear of a lost connection instead of the answer. */
  async drain() {
    for (;;) {
      const { done } = await this.reader.read(new Uint8Array(CHUNK_BYTES));
      if (done) return;
    }
  }
}

/** A value as a Worker sends it: all of the body. */
class Plain extends Body {
  metadata = null;

  async next() {
    const { value } = await this.reader.readAtLeast(CHUNK_BYTES, new Uint8Array(CHUNK_BYTES));
    return value && value.byteLength > 0 ? value : null;
  }
}

/**
 * A value as control sends it, metadata behind it since a form may have it there: frames of four bytes of length and
 * so many bytes, an empty one, and the metadata's JSON in another. What ends before that was broken off.
 */
class Framed extends Body {
  metadata = null;

  async #exactly(bytes) {
    if (bytes === 0) return new Uint8Array(0);
    const { value } = await this.reader.readAtLeast(bytes, new Uint8Array(bytes));
    if (value === undefined || value.byteLength < bytes) throw new Refusal(400, "broken", "The value broke off before its end.");
    return value;
  }

  async #frame() {
    const head = await this.#exactly(4);
    return this.#exactly(new DataView(head.buffer, head.byteOffset).getUint32(0));
  }

  async next() {
    const chunk = await this.#frame();
    if (chunk.byteLength > 0) return chunk;
    const metadata = await this.#frame();
    if (metadata.byteLength > 0) this.metadata = new TextDecoder().decode(metadata);
    await this.drain();
    return null;
  }
}

/** The value where it is small, else its beginning. */
async function begin(source) {
  const chunks = [];
  let bytes = 0;
  while (bytes <= INLINE_BYTES) {
    const chunk = await source.next();
    if (chunk === null) return { whole: true, chunks, bytes };
    chunks.push(chunk);
    bytes += chunk.byteLength;
  }
  return { whole: false, chunks, bytes };
}

async function toFile(env, path, pieces) {
  const { readable, writable } = new IdentityTransformStream();
  const put = env.BLOBS.fetch(`http://blobs/${path}`, { method: "PUT", body: readable });
  // Whichever of the two fails first tells; the other must not be an unhandled rejection.
  put.catch(() => undefined);
  const writer = writable.getWriter();
  try {
    for await (const piece of pieces) await writer.write(piece);
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => undefined);
    throw error;
  }
  const { ok, status } = await put;
  if (!ok) throw new Error(`A value's file could not be written: ${status}.`);
}

/** Writes a large value to a file of its own, counting. @returns the file's path and its bytes */
async function spool(env, space, key, { chunks }, source) {
  const name = Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const blob = `${space.dir}/b/${name}`;
  const replaced = await space.shard.begin(key, blob);
  let bytes = 0;
  async function* counting() {
    for (let at = 0; ; at++) {
      const chunk = at < chunks.length ? chunks[at] : await source.next();
      if (chunk === null) return;
      bytes += chunk.byteLength;
      arriving += chunk.byteLength;
      if (bytes > VALUE_BYTES) throw new Refusal(413, "too-large", `Value length exceeds limit of ${VALUE_BYTES}.`);
      if (ofAccount(env, -replaced)) throw full(env.MAX_BYTES);
      yield chunk;
    }
  }
  try {
    await toFile(env, blob, counting());
  } catch (error) {
    await space.shard.release(blob);
    throw error;
  } finally {
    arriving -= bytes;
  }
  return { blob, bytes };
}

function joined({ chunks, bytes }) {
  const value = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    value.set(chunk, at);
    at += chunk.byteLength;
  }
  return value;
}

/** Writes the value that the source yields, with the metadata that it has by then. @throws Refusal */
async function put(env, space, key, source, params) {
  try {
    const expiration = expirationOf(params);
    await counted(env);
    const head = await begin(source);
    const { blob, bytes } = head.whole ? { blob: null, bytes: head.bytes } : await spool(env, space, key, head, source);
    const value = head.whole ? joined(head) : null;
    if (await space.shard.commit([{ key, value, blob, bytes, expiration, metadata: source.metadata }])) return;
    if (blob !== null) await space.shard.release(blob);
    throw full(env.MAX_BYTES);
  } catch (error) {
    if (error instanceof Refusal && error.reason !== "broken") await source.drain();
    throw error;
  }
}

async function get(env, space, key) {
  for (let tries = 1; ; tries++) {
    const [row] = (await space.shard.read([key])).rows;
    if (row === null) return null;
    if (row.blob === null) return { row, body: row.value };
    const file = await env.BLOBS.fetch(`http://blobs/${row.blob}`);
    if (file.ok) return { row, body: file.body };
    if (tries === READS) throw new Error(`A value's file could not be read: ${file.status}.`);
  }
}

const seconds = (expiration) => Math.floor(expiration / 1000);

// ------------------------------------------------------------------ Workers' bindings

/** The key and the query as they were sent: a URL object would resolve dots in keys. */
function targetOf(request) {
  const [, path = "/", query = ""] = /^[a-z]+:\/\/[^/?]*([^?]*)\??(.*)$/s.exec(request.url) ?? [];
  return { path: path || "/", params: new URLSearchParams(query) };
}

const MIN_SECONDS = 60;

/** Past and too soon, in the hosted original's words: Workers read them as the message of an error. */
const EXPIRIES = {
  expiration: [
    "Please specify integer greater than the current number of seconds since the UNIX epoch.",
    `Expiration times must be at least ${MIN_SECONDS} seconds in the future.`,
  ],
  expiration_ttl: ["Please specify integer greater than 0.", `Expiration TTL must be at least ${MIN_SECONDS}.`],
};

/** @returns milliseconds since the epoch, or null @throws Refusal */
function expirationOf(params) {
  const now = Math.floor(Date.now() / 1000);
  const ttl = params.get("expiration_ttl");
  const at = params.get("expiration");
  if (ttl === null && at === null) return null;
  const [name, text, from] = ttl === null ? ["expiration", at, now] : ["expiration_ttl", ttl, 0];
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value < from + MIN_SECONDS) throw new Refusal(400, "invalid", `Invalid ${name} of ${text}. ${EXPIRIES[name][value <= from ? 0 : 1]}`);
  return (ttl === null ? value : now + value) * 1000;
}

/** What is wrong with a value before its first byte. @throws Refusal */
function checkHead(request, metadata) {
  const length = Number(request.headers.get("content-length") ?? 0);
  if (length > VALUE_BYTES) throw new Refusal(413, "too-large", `Value length of ${length} exceeds limit of ${VALUE_BYTES}.`);
  const bytes = utf8Length(metadata);
  if (bytes > METADATA_BYTES) throw new Refusal(413, "invalid", `Metadata length of ${bytes} exceeds limit of ${METADATA_BYTES}.`);
}

async function putOfWorker(request, env, space, key, params) {
  const metadata = request.headers.get("CF-KV-Metadata");
  checkHead(request, metadata);
  await put(env, space, key, Object.assign(new Plain(request.body), { metadata }), params);
  return new Response(null);
}

async function getOfWorker(env, space, key) {
  const found = await get(env, space, key);
  const headers = { "CF-Cache-Status": "MISS" };
  if (found === null) return new Response(null, { status: 404, headers });
  if (found.row.metadata !== null) headers["CF-KV-Metadata"] = found.row.metadata;
  return new Response(found.body, { headers });
}

/** What the module below has a word on, such as too short a time in caches. */
const plainGet = (params) => Number(params.get("cache_ttl") ?? 60) >= 30;

export default {
  async fetch(request, env, ctx) {
    await giveWay(ctx);
    const { path, params } = targetOf(request);
    if (path === "/" || path === "/bulk/get" || (request.method !== "PUT" && !(request.method === "GET" && plainGet(params)))) {
      return base.fetch(request, env, ctx);
    }
    try {
      const space = spaceOf(env, ctx.props);
      const key = decodeURIComponent(path.slice(1));
      return request.method === "GET" ? await getOfWorker(env, space, key) : await putOfWorker(request, env, space, key, params);
    } catch (error) {
      // As in Body.drain; a body that was begun is at its end.
      if (request.body && !request.bodyUsed) await request.body.pipeTo(new WritableStream());
      const message = error instanceof URIError ? "Could not URL-decode key name" : String(error.message);
      const status = error.status ?? (error instanceof URIError ? 400 : 500);
      return new Response(null, { status, statusText: message.replace(/[\r\n]/g, " ") });
    }
  },
};

// ------------------------------------------------------------------ control

/** Pairs of a bulk write: a line of JSON, [key, bytes, expiration, ttl, metadata] each, then all values. */
async function pairsOf(request) {
  const body = new Uint8Array(await request.arrayBuffer());
  const end = body.indexOf(10);
  const now = Math.floor(Date.now() / 1000);
  let at = end + 1;
  return JSON.parse(new TextDecoder().decode(body.subarray(0, end))).map(([key, bytes, expiration, ttl, metadata]) => {
    const value = body.slice(at, (at += bytes));
    const untilSeconds = ttl === null ? expiration : now + ttl;
    return { key, value, blob: null, bytes, expiration: untilSeconds === null ? null : untilSeconds * 1000, metadata };
  });
}

/** Values as text: what is no UTF-8 arrives as production has it, with replacement characters. */
async function texts(env, space, keys) {
  const { rows } = await space.shard.read(keys);
  const found = [];
  let bytes = 0;
  for (const [at, key] of keys.entries()) {
    let row = rows[at];
    let body = row?.value;
    if (row !== null && row.blob !== null) ({ row, body } = (await get(env, space, key)) ?? { row: null });
    if (row === null) {
      found.push(null);
      continue;
    }
    const value = await new Response(body).bytes();
    bytes += value.byteLength;
    if (bytes > BULK_READ_BYTES) throw new Refusal(413, "too-much", `The values take more than ${BULK_READ_BYTES} bytes together.`);
    const expiration = row.expiration === null ? null : seconds(row.expiration);
    found.push([new TextDecoder().decode(value), expiration, row.metadata]);
  }
  return found;
}

/** For control alone, by props {namespace}: what the protocol of bindings lacks. */
export class Control extends WorkerEntrypoint {
  async fetch(request) {
    const { path, params } = targetOf(request);
    const [, what, encoded = ""] = path.split("/");
    const space = spaceOf(this.env, this.ctx.props);
    try {
      return await this.#answer(`${request.method} ${what}`, space, decodeURIComponent(encoded), request, params);
    } catch (error) {
      return Response.json({ reason: error.reason ?? "failed", message: String(error.message) }, { status: error.status ?? 500 });
    }
  }

  async #answer(what, space, key, request, params) {
    const { env } = this;
    switch (what) {
      case "GET values": {
        const found = await get(env, space, key);
        if (found === null) return new Response(null, { status: 404 });
        const { expiration } = found.row;
        return new Response(found.body, { headers: expiration === null ? {} : { expiration: String(seconds(expiration)) } });
      }
      case "PUT values":
        await put(env, space, key, new Framed(request.body), params);
        return Response.json(null);
      case "DELETE values":
        await space.shard.remove(key);
        return Response.json(null);
      case "GET metadata": {
        const [row] = (await space.shard.read([key])).rows;
        return row === null ? new Response(null, { status: 404 }) : Response.json({ metadata: row.metadata });
      }
      case "POST get":
        return Response.json(await texts(env, space, await request.json()));
      case "POST put": {
        await counted(env);
        if (!(await space.shard.commit(await pairsOf(request)))) throw full(env.MAX_BYTES);
        return Response.json(null);
      }
      case "POST delete":
        await space.shard.removeAll(await request.json());
        return Response.json(null);
      case "GET usage":
        return Response.json(await space.shard.usage());
      case "POST purge":
        await space.shard.purge();
        await space.shard.abort().catch(() => undefined);
        return Response.json(null);
      default:
        return new Response(null, { status: 404 });
    }
  }
}
