// An upload from its manifest to its files: what the account has is never asked for again, what arrives is checked
// against the manifest, and an upload may be repeated or arrive in any order.
import { createHash, randomUUID } from "node:crypto";
import { checkAssetPaths } from "../../../capsule/asset-paths.ts";
import { PlatformError } from "../../../kernel/errors.ts";
import type { AccountId } from "../../../kernel/ids.ts";
import type { Part } from "../../http/form.ts";
import type { Principal } from "../../permissions/authorize.ts";
import type { Account, Tx } from "../../store/store.ts";
import type { AssetFile, ProductContext } from "../product.ts";
import { invalidManifest, type Manifest } from "./contract.ts";
import { assetLimits, intoBuckets, type AssetLimits } from "./quota.ts";
import * as store from "./store.ts";
import { SESSION_SECONDS, type Capability, type UploadTokens } from "./tokens.ts";

/** Sessions of an account that may be open at once; the oldest give way. */
const SESSIONS_OPEN = 20;
/** A deploy that redeemed its session in the last moment has its files for so long. */
const LATE_DEPLOY_MS = 900_000;
/** What a client says of a file that is to be served without a content type. */
const NO_TYPE = "application/null";

export type Opened = { readonly token: string; readonly buckets: string[][] };

export type Sessions = {
  /** @throws PlatformError invalid_input, quota_exceeded */
  open(writer: Principal, script: string, manifest: Manifest): Promise<Opened>;
  /** Stores the files of one request; the token of the completed upload once none is missing. @throws PlatformError asset_mismatch */
  receive(capability: Capability, parts: readonly Part[]): Promise<string | null>;
  /** The files of a completed upload. @throws PlatformError asset_session_invalid, asset_mismatch */
  complete(capability: Capability): Promise<AssetFile[]>;
  limitsOf(account: AccountId): Promise<AssetLimits>;
};

const shown = (text: string): string => JSON.stringify(text.slice(0, 200));

function checkManifest(manifest: Manifest, limits: AssetLimits): void {
  if (manifest.size > limits.files) {
    throw new PlatformError("quota_exceeded", {
      message: `manifest: ${manifest.size} files, more than the ${limits.files} that a Worker of this account may have.`,
      next: "Leave files out with .assetsignore, or have a person claim the account.",
    });
  }
  const sizes = new Map<string, number>();
  for (const [path, { hash, size }] of manifest) {
    if (size > limits.fileMaxBytes) {
      throw new PlatformError("quota_exceeded", {
        message: `manifest: ${shown(path)} has ${size} bytes, more than the ${limits.fileMaxBytes} that a file may have.`,
        next: "Make the file smaller or leave it out with .assetsignore.",
      });
    }
    if ((sizes.get(hash) ?? size) !== size) throw invalidManifest(`manifest: ${shown(path)} has the hash of a file of another size.`);
    sizes.set(hash, size);
  }
  const paths = checkAssetPaths([...manifest.keys()]);
  if (!paths.ok) throw invalidManifest(`manifest: the path ${shown(paths.path)} ${paths.problem}.`, "Rename the file and deploy again.");
}

const wanted = (manifest: Manifest): Map<string, number> => new Map([...manifest.values()].map(({ hash, size }) => [hash, size]));

/** Standard base64 with padding. Searched for what is not: a pattern of the whole would exhaust the stack on megabytes. */
const isBase64 = (text: string): boolean => text.length % 4 === 0 && !/[^A-Za-z0-9+/]/.test(text.replace(/={1,2}$/, ""));

function decode(part: Part): Buffer {
  const text = part.bytes.toString("latin1").replaceAll(/[\r\n]/g, "");
  if (isBase64(text)) return Buffer.from(text, "base64");
  throw new PlatformError("asset_mismatch", {
    message: `The part ${shown(part.name)} is not base64.`,
    next: "Encode the file in standard base64.",
  });
}

function received(part: Part, sizes: ReadonlyMap<string, number>, nowMs: number): store.UploadedFile & { readonly bytes: Buffer } {
  const size = sizes.get(part.name);
  if (size === undefined)
    throw new PlatformError("asset_mismatch", { message: `The session did not ask for the file ${shown(part.name)}.` });
  const bytes = decode(part);
  if (bytes.byteLength !== size) {
    throw new PlatformError("asset_mismatch", {
      message: `The file ${shown(part.name)} has ${bytes.byteLength} bytes, but the manifest said ${size}.`,
    });
  }
  const contentType = part.type === NO_TYPE ? null : part.type;
  const hash = createHash("sha256").update(bytes).digest("hex");
  return { clientHash: part.name, hash, size, contentType, wantedAtMs: nowMs, bytes };
}

/** Files that nothing holds and no open session can name any more. */
async function sweep(context: ProductContext, tx: Tx, account: Account, files: readonly store.UploadedFile[]): Promise<number> {
  const inUse = await context.product("workers")?.assetsInUse?.(tx, account.id);
  const before = context.store.clock.now() - SESSION_SECONDS * 1000 - LATE_DEPLOY_MS;
  const idle = files.filter((file) => file.wantedAtMs <= before && !inUse?.has(file.hash));
  await store.deleteFiles(
    tx,
    account.id,
    idle.map((file) => file.clientHash),
  );
  return idle.length;
}

/** Checks the number of files that the account would hold, sweeping idle ones where that helps. @throws PlatformError quota_exceeded */
async function makeRoom(
  context: ProductContext,
  tx: Tx,
  account: Account,
  here: ReadonlyMap<string, store.UploadedFile>,
  missing: ReadonlyMap<string, number>,
): Promise<void> {
  const { filesHeld } = assetLimits(context.quota, account.state);
  const held = await store.uploadedFiles(tx, account.id);
  await store.wantFiles(tx, account.id, [...here.keys()], context.store.clock.now());
  // Rows whose bytes are lost or of another size give way to the file that is asked for again.
  const stale = [...missing.keys()].filter((hash) => held.has(hash));
  await store.deleteFiles(tx, account.id, stale);
  const others = [...held.values()].filter((file) => !here.has(file.clientHash) && !missing.has(file.clientHash));
  const over = here.size + missing.size + others.length - filesHeld;
  if (over <= 0 || (await sweep(context, tx, account, others)) >= over) return;
  throw new PlatformError("quota_exceeded", {
    message: `manifest: with the files of its other Workers and versions the account would hold more than ${filesHeld} files.`,
  });
}

export function createSessions(context: ProductContext, tokens: UploadTokens): Sessions {
  const { clock, db } = context.store;

  /** The files that are both written down and on the host's disk, which may have been restored from less. */
  const present = async (account: AccountId, manifest: Manifest): Promise<Map<string, store.UploadedFile>> => {
    const sizes = wanted(manifest);
    const known = [...(await store.uploadedFiles(db, account)).values()].filter((file) => sizes.get(file.clientHash) === file.size);
    const lost = new Set(
      known.length === 0
        ? []
        : await context.host.missing(
            account,
            "assets",
            known.map((file) => file.hash),
          ),
    );
    return new Map(known.filter((file) => !lost.has(file.hash)).map((file) => [file.clientHash, file]));
  };

  const limitsOf = async (account: AccountId): Promise<AssetLimits> => {
    const row = await db.selectFrom("accounts").select("state").where("id", "=", account).executeTakeFirstOrThrow();
    return assetLimits(context.quota, row.state);
  };

  const session = async (capability: Capability): Promise<store.Session> => {
    const found = await store.findSession(db, capability.account, capability.session);
    if (found && found.expiresAtMs > clock.now()) return found;
    throw new PlatformError("asset_session_invalid", { message: "The upload session is over." });
  };

  return {
    limitsOf,
    open: async (writer, script, manifest) => {
      checkManifest(manifest, await limitsOf(writer.account));
      const here = await present(writer.account, manifest);
      const now = clock.now();
      const id = randomUUID();
      const expiresAtMs = Math.min(now + SESSION_SECONDS * 1000, writer.expiresAtMs ?? Infinity);
      const missing = new Map([...wanted(manifest)].filter(([hash]) => !here.has(hash)));
      await context.store.inAccount(writer, async (tx, account) => {
        await makeRoom(context, tx, account, here, missing);
        await store.insertSession(tx, writer.account, { id, script, manifest, expiresAtMs }, now);
        await store.dropOldSessions(tx, writer.account, SESSIONS_OPEN);
        await context.trail.append(tx, {
          at: now,
          account: writer.account,
          task: writer.task,
          actors: writer.actors,
          token: writer.token,
          action: "assets:upload",
          resource: `assets/${id}`,
          outcome: "done",
          reason: `session for ${missing.size} of ${manifest.size} files`,
        });
      });
      const purpose = missing.size === 0 ? "assets-complete" : "assets-upload";
      const { account, epoch, token: by } = writer;
      const token = await tokens.sign(purpose, { session: id, account, script, epoch, token: by }, expiresAtMs);
      return { token, buckets: intoBuckets(missing) };
    },
    receive: async (capability, parts) => {
      const { manifest, expiresAtMs } = await session(capability);
      const sizes = wanted(manifest);
      const files = parts.map((part) => received(part, sizes, clock.now()));
      for (const file of files) await context.host.put(capability.account, "assets", file.hash, file.bytes);
      await context.store.inAccount(capability, (tx) => store.insertFiles(tx, capability.account, files));
      const here = await store.uploadedFiles(db, capability.account);
      if ([...sizes.keys()].some((hash) => !here.has(hash))) return null;
      return tokens.sign("assets-complete", capability, expiresAtMs);
    },
    complete: async (capability) => {
      const { manifest } = await session(capability);
      const here = await store.uploadedFiles(db, capability.account);
      return [...manifest].map(([path, { hash: clientHash, size }]) => {
        const file = here.get(clientHash);
        if (file?.size === size) return { path, hash: file.hash, size, contentType: file.contentType };
        throw new PlatformError("asset_mismatch", { message: `metadata.assets.jwt: the file ${shown(path)} has not been uploaded.` });
      });
    },
  };
}
