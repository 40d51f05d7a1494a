// Every key of the installation. All derive from or are wrapped by the master key; an account's sealing key
// lies in a file of its own beside the database, so that destroying it makes rows and log remnants unreadable.
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { PlatformError } from "../../kernel/errors.ts";
import { ACCOUNT_ID, type AccountId } from "../../kernel/ids.ts";

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CACHED_KEYS = 1000;
const KEYS_TRIED = 3;

/** The data directory's keys were made under another master key. */
export class WrongMasterKey extends Error {}

/** AES-256-GCM: nonce, ciphertext, tag. The context is authenticated, so a box cannot be moved elsewhere. */
function seal(key: Uint8Array, context: string, plain: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function open(key: Uint8Array, context: string, box: Uint8Array): Buffer {
  const decipher = createDecipheriv("aes-256-gcm", key, box.subarray(0, NONCE_BYTES)).setAAD(Buffer.from(context));
  decipher.setAuthTag(box.subarray(box.length - TAG_BYTES));
  return Buffer.concat([decipher.update(box.subarray(NONCE_BYTES, box.length - TAG_BYTES)), decipher.final()]);
}

function syncDirectory(path: string): void {
  const handle = openSync(path, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function writeThrough(path: string, bytes: Uint8Array, flags: "w" | "r+"): void {
  const handle = openSync(path, flags, 0o600);
  try {
    writeSync(handle, bytes);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** A file that is there as a whole or not at all: half a key would stop the installation for good. */
function createDurably(path: string, bytes: Uint8Array): void {
  if (existsSync(path)) throw new Error(`${path} is there already; no key is ever replaced`);
  writeThrough(`${path}.new`, bytes, "w");
  renameSync(`${path}.new`, path);
  syncDirectory(dirname(path));
}

function readMasterKey(data: string, given: string | null): Buffer {
  if (given !== null) return Buffer.from(given, "hex");
  const path = join(data, "master.key");
  if (!existsSync(path)) createDurably(path, Buffer.from(randomBytes(KEY_BYTES).toString("hex")));
  const hex = readFileSync(path, "utf8").trim();
  if (!/^[0-9a-f]{64}$/i.test(hex)) throw new Error(`${path} is not a master key: 64 hexadecimal digits`);
  return Buffer.from(hex, "hex");
}

export type Purpose = "assets-upload" | "d1-transfer" | "challenge" | "sign-in" | "tail";

export type Keys = {
  /** Keyed hash for finding a secret in the database: 64 hexadecimal digits. */
  lookupHash(secret: string): string;
  /** A key for signing short-lived capabilities of one purpose. */
  signing(purpose: Purpose): Uint8Array;
  /** Makes the account's sealing key durable, before its row is committed. */
  createAccountKey(account: AccountId): void;
  /** @throws PlatformError account_gone when the key was destroyed */
  sealFor(account: AccountId, context: string, plain: string): Buffer;
  /** @throws PlatformError account_gone when the key was destroyed */
  openFor(account: AccountId, context: string, box: Uint8Array): string;
  /** From here on nothing that was sealed for the account can be read. Idempotent. */
  destroyAccountKey(account: AccountId): void;
  /** Accounts that have a key: for sweeping those whose row was never committed. */
  accountsWithKeys(): AccountId[];
  /** When the account's key was made, by the file system's clock; null when there is none. */
  accountKeyMadeAtMs(account: AccountId): number | null;
  /** Seals what only the operator may read later, under the month's key, deleted after its retention. */
  sealForOperator(atMs: number, plain: string): Buffer;
  openForOperator(atMs: number, box: Uint8Array): string;
  /** Deletes operator keys of months that ended before the time. */
  dropOperatorKeys(beforeMs: number): void;
};

class KeyFiles {
  readonly #directory: string;
  readonly #wrapping: Uint8Array;
  readonly #cache = new Map<string, Buffer>();

  constructor(directory: string, wrapping: Uint8Array) {
    this.#directory = directory;
    this.#wrapping = wrapping;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // What a crash left half-written; nothing was ever sealed with it.
    for (const file of readdirSync(directory)) if (file.endsWith(".new")) rmSync(join(directory, file), { force: true });
  }

  #path(name: string): string {
    return join(this.#directory, `${name}.key`);
  }

  create(name: string): Buffer {
    const key = randomBytes(KEY_BYTES);
    createDurably(this.#path(name), seal(this.#wrapping, name, key));
    this.#remember(name, key);
    return key;
  }

  read(name: string): Buffer | undefined {
    const known = this.#cache.get(name);
    if (known) return known;
    if (!existsSync(this.#path(name))) return undefined;
    const key = open(this.#wrapping, name, readFileSync(this.#path(name)));
    this.#remember(name, key);
    return key;
  }

  destroy(name: string): void {
    this.#cache.get(name)?.fill(0);
    this.#cache.delete(name);
    const path = this.#path(name);
    if (!existsSync(path)) return;
    writeThrough(path, randomBytes(NONCE_BYTES + KEY_BYTES + TAG_BYTES), "r+");
    rmSync(path, { force: true });
    syncDirectory(this.#directory);
  }

  /** @throws Error when keys lie here and the master key opens none of the first few: it is another installation's */
  requireOurs(): void {
    const some = this.names().slice(0, KEYS_TRIED);
    const opens = some.some((name) => {
      try {
        return this.read(name) !== undefined;
      } catch {
        return false;
      }
    });
    if (some.length > 0 && !opens) {
      throw new WrongMasterKey(
        `The master key opens none of the keys in ${this.#directory}. Set MAYFLY_MASTER_KEY to the one that made them, or put master.key back.`,
      );
    }
  }

  madeAtMs(name: string): number | null {
    return statSync(this.#path(name), { throwIfNoEntry: false })?.mtimeMs ?? null;
  }

  names(): string[] {
    return readdirSync(this.#directory)
      .filter((file) => file.endsWith(".key"))
      .map((file) => file.slice(0, -4));
  }

  #remember(name: string, key: Buffer): void {
    if (this.#cache.size >= CACHED_KEYS) this.#cache.delete(this.#cache.keys().next().value ?? "");
    this.#cache.set(name, key);
  }
}

const month = (atMs: number): string => new Date(atMs).toISOString().slice(0, 7);

/**
 * Opens the keys of an installation, making the master key on first start.
 * @param options `masterKey`: 64 hex digits, or null for the file
 * @throws WrongMasterKey
 */
export function openKeys(options: { readonly data: string; readonly masterKey: string | null }): Keys {
  const master = readMasterKey(options.data, options.masterKey);
  const derive = (purpose: string): Uint8Array => new Uint8Array(hkdfSync("sha256", master, "mayfly", purpose, KEY_BYTES));
  const lookup = derive("lookup");
  const accounts = new KeyFiles(join(options.data, "keys", "accounts"), derive("account keys"));
  const operator = new KeyFiles(join(options.data, "keys", "operator"), derive("operator keys"));
  for (const files of [accounts, operator]) files.requireOurs();
  const accountKey = (account: AccountId): Buffer => {
    const key = accounts.read(account);
    if (!key) throw new PlatformError("account_gone", { message: "The account has ended; its key was destroyed." });
    return key;
  };
  return {
    lookupHash: (secret) => createHmac("sha256", lookup).update(secret).digest("hex"),
    signing: (purpose) => derive(`signing ${purpose}`),
    createAccountKey: (account) => void accounts.create(account),
    sealFor: (account, context, plain) => seal(accountKey(account), `${account} ${context}`, Buffer.from(plain)),
    openFor: (account, context, box) => open(accountKey(account), `${account} ${context}`, box).toString(),
    destroyAccountKey: (account) => accounts.destroy(account),
    accountsWithKeys: () =>
      accounts
        .names()
        .filter((name) => ACCOUNT_ID.test(name))
        .map((name) => name as AccountId),
    accountKeyMadeAtMs: (account) => accounts.madeAtMs(account),
    sealForOperator: (atMs, plain) => {
      const name = month(atMs);
      return seal(operator.read(name) ?? operator.create(name), "operator", Buffer.from(plain));
    },
    openForOperator: (atMs, box) => {
      const key = operator.read(month(atMs));
      if (!key)
        throw new PlatformError("invalid_input", { message: "The operator key of that month was deleted at the end of its retention." });
      return open(key, "operator", box).toString();
    },
    dropOperatorKeys: (beforeMs) => {
      for (const name of operator.names()) if (name < month(beforeMs)) operator.destroy(name);
    },
  };
}
