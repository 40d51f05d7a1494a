// A challenge is its token: everything about it is signed inside, and the server keeps nothing until it is spent.
// The work is a chain: h0 = SHA-256(seed), then k segments of g times h = SHA-256(h), a checkpoint at every joint.
import { createHmac, hash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { PlatformError } from "../../kernel/errors.ts";

export const CHECKPOINT_BYTES = 32;
/** wrangler refuses longer chains. */
export const MAX_HASHES = 64_000_000;

const VERSION = "mfp1";
const TOKEN_MAX_CHARACTERS = 4096;
const SLOWEST_HASHES_PER_SECOND = 200_000;
const GRACE_MS = 120_000;
const TRAVEL_MS = 30_000;
const PREFERRED_SEGMENT = 1000;

/** k segments of g hashes. */
export type Work = { readonly k: number; readonly g: number };

const contents = z.strictObject({
  id: z.string(),
  /** base64url of 32 bytes. */
  seed: z.string(),
  k: z.int().positive(),
  g: z.int().positive(),
  expiresAtMs: z.int(),
  /** Keyed hash of the caller's address prefix. */
  addressHash: z.string(),
});

export type Challenge = Readonly<z.infer<typeof contents>>;

/**
 * Splits a number of hashes into segments of about a thousand, fewer where the whole is small. k·g is exactly `hashes` up to
 * 1,000, within half a per cent beyond, and never above 64,000,000. Short segments keep an answer of noise cheap to refuse.
 */
export function divideWork(hashes: number): Work {
  const wanted = Math.min(Math.max(1, Math.round(hashes)), MAX_HASHES);
  const ideal = Math.min(PREFERRED_SEGMENT, Math.sqrt(wanted));
  let best: Work = { k: wanted, g: 1 };
  let bestRank = Infinity;
  const shortest = wanted <= PREFERRED_SEGMENT ? 1 : Math.floor(ideal / 2);
  for (let g = shortest; g <= Math.ceil(ideal * 2); g++) {
    const k = Math.max(1, Math.min(Math.round(wanted / g), Math.floor(MAX_HASHES / g)));
    // The miss counts first; the distance from the ideal, always below 2·ideal, decides among equals.
    const rank = Math.abs(wanted - k * g) * 4 * PREFERRED_SEGMENT + Math.abs(g - ideal);
    if (rank < bestRank) [best, bestRank] = [{ k, g }, rank];
  }
  return best;
}

/** Characters of an answer's checkpoints in base64. */
export const checkpointCharacters = ({ k }: Pick<Work, "k">): number => Math.ceil(((k + 1) * CHECKPOINT_BYTES) / 3) * 4;

export const hashesOf = ({ k, g }: Work): number => k * g;

const slowlyMs = (work: Work): number => Math.ceil((hashesOf(work) / SLOWEST_HASHES_PER_SECOND) * 1000);

/** How long a challenge is good for: the time a slow client needs, and two minutes. */
export const lifetimeMs = (work: Work): number => GRACE_MS + slowlyMs(work);

/** Within this time nobody has hoarded: what a slow client needs, and half a minute on the way. */
export const solvingMs = (work: Work): number => TRAVEL_MS + slowlyMs(work);

export const ageMs = (challenge: Challenge, nowMs: number): number => nowMs - (challenge.expiresAtMs - lifetimeMs(challenge));

const mac = (key: Uint8Array, text: string): Buffer => createHmac("sha256", key).update(text).digest();

/** `mfp1.<contents, JSON in base64url>.<HMAC-SHA-256 of all before, base64url>` */
export function signChallenge(key: Uint8Array, challenge: Challenge): string {
  const signed = `${VERSION}.${Buffer.from(JSON.stringify(challenge)).toString("base64url")}`;
  return `${signed}.${mac(key, signed).toString("base64url")}`;
}

/** What a token of ours says; nothing in it is read before the signature is found right. @throws PlatformError challenge_invalid */
export function openChallenge(key: Uint8Array, token: string): Challenge {
  const end = token.length <= TOKEN_MAX_CHARACTERS ? token.lastIndexOf(".") : -1;
  const signed = token.slice(0, Math.max(0, end));
  const given = Buffer.from(token.slice(end + 1), "base64url");
  const right = mac(key, signed);
  if (end < 0 || given.length !== right.length || !timingSafeEqual(given, right) || !signed.startsWith(`${VERSION}.`)) {
    throw new PlatformError("challenge_invalid", { message: "challengeToken: not a challenge of this server." });
  }
  return contents.parse(JSON.parse(Buffer.from(signed.slice(VERSION.length + 1), "base64url").toString()));
}

/**
 * The k + 1 checkpoints of an answer, one after the other, of which only the first has been checked.
 * @param text standard base64 with padding @throws PlatformError invalid_input, solution_wrong
 */
export function readCheckpoints(challenge: Challenge, text: string): Uint8Array<ArrayBuffer> {
  const bytes = (challenge.k + 1) * CHECKPOINT_BYTES;
  const characters = checkpointCharacters(challenge);
  if (text.length !== characters) {
    throw new PlatformError("invalid_input", {
      message: `solution.checkpoints: must be ${characters} characters, ${challenge.k + 1} checkpoints in base64, not ${text.length}.`,
    });
  }
  const checkpoints = new Uint8Array(bytes);
  const view = Buffer.from(checkpoints.buffer);
  // Node's decoder forgives; only what encodes to the same text again was base64.
  if (view.write(text, "base64") !== bytes || view.toString("base64") !== text) {
    throw new PlatformError("invalid_input", { message: "solution.checkpoints: not standard base64 with padding." });
  }
  if (!view.subarray(0, CHECKPOINT_BYTES).equals(hash("sha256", Buffer.from(challenge.seed, "base64url"), "buffer"))) {
    throw new PlatformError("solution_wrong", { message: "solution.checkpoints: the first is not the SHA-256 of the seed." });
  }
  return checkpoints;
}
