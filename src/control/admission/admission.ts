// Who gets an account: whoever solved a challenge of ours, once, in time, from the address that asked for it, and within
// the hourly limit of that address. What is cheap to check is checked first, and nothing is hashed before it is paid for.
import { randomBytes } from "node:crypto";
import { PlatformError } from "../../kernel/errors.ts";
import { newId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import { success } from "../http/envelope.ts";
import { publicRoute, type Route } from "../http/routes.ts";
import type { Keys } from "../keys/keys.ts";
import type { Store, Tx } from "../store/store.ts";
import { addressPrefix } from "./address.ts";
import {
  checkpointCharacters,
  divideWork,
  lifetimeMs,
  openChallenge,
  readCheckpoints,
  signChallenge,
  type Challenge,
} from "./challenge.ts";
import { insertAdmission, prune, spendChallenge, waitMs } from "./records.ts";
import { Unproven } from "./unproven.ts";
import { createVerifier, type VerifierLimits } from "./verifier.ts";

const PRUNE_EVERY_MS = 60_000;
const SEED_BYTES = 32;
const LEAST_UNPROVEN = 10;
const QUEUE: VerifierLimits = { maxChains: 256, maxHashes: 64_000_000 };

export type AdmissionOptions = {
  readonly store: Store;
  readonly keys: Keys;
  /** Proof of work for one account: 1 to 64,000,000 hashes. */
  readonly powHashes: number;
  /** Accounts that one address may make in any hour; an IPv6 /56 is one address. */
  readonly accountsPerHourPerIp: number;
  readonly log: Log;
  /** Bounds of the queue before the verifier: 256 chains and 64,000,000 hashes unless given. */
  readonly queue?: VerifierLimits;
};

/** As it goes over the wire; `seed` is base64url of 32 bytes. */
export type OfferedChallenge = { readonly challengeToken: string; readonly seed: string; readonly k: number; readonly g: number };

export type AdmissionStats = {
  /** Since the start. */
  readonly challenges: number;
  readonly admitted: number;
  readonly wrong: number;
  readonly verifiedHashes: number;
  /** Now. */
  readonly waitingChains: number;
  readonly waitingHashes: number;
};

export type Admission = AsyncDisposable & {
  readonly routes: readonly Route[];
  /** Of an answer's checkpoints: a body much larger than this answers no challenge of ours. */
  readonly checkpointCharacters: number;
  /** @throws PlatformError too_many_accounts, so that nobody solves in vain */
  challenge(address: string): Promise<OfferedChallenge>;
  /**
   * Resolves when the answer is right; a challenge is spent by its first answer of the right form, right or wrong.
   * @param answer checkpoints in standard base64
   * @throws PlatformError challenge_invalid, challenge_expired, challenge_spent, invalid_input, solution_wrong,
   *   too_many_accounts, verifier_busy
   */
  admit(address: string, answer: { readonly challengeToken: string; readonly checkpoints: string }): Promise<void>;
  /** Counts an account in the transaction that makes it; exact however many race. @throws PlatformError too_many_accounts */
  record(tx: Tx, address: string): Promise<void>;
  stats(): AdmissionStats;
};

function refuseFor(ms: number, what: string): void {
  if (ms <= 0) return;
  throw new PlatformError("too_many_accounts", {
    message: `Too many ${what} from your network.`,
    retryAfterSeconds: Math.ceil(ms / 1000),
  });
}

/** Runs `prune` at most once a minute, aside from the call that came by; dispose waits for the one under way. */
function createPruning(store: Store, log: Log) {
  let nextAtMs = 0;
  let running: Promise<void> = Promise.resolve();
  return {
    passBy: (nowMs: number): void => {
      if (nowMs < nextAtMs) return;
      nextAtMs = nowMs + PRUNE_EVERY_MS;
      running = prune(store.db, nowMs).catch((err: unknown) => log.warn({ err }, "old admissions could not be pruned"));
    },
    [Symbol.asyncDispose]: () => running,
  };
}

export function createAdmission(options: AdmissionOptions): Admission {
  const { store, keys, log, accountsPerHourPerIp: limit } = options;
  const key = keys.signing("challenge");
  const work = divideWork(options.powHashes);
  const verifier = createVerifier(options.queue ?? QUEUE, log);
  const unproven = new Unproven(Math.max(limit, LEAST_UNPROVEN));
  const pruning = createPruning(store, log);
  const counts = { challenges: 0, admitted: 0, wrong: 0 };

  const hashOf = (address: string): string => keys.lookupHash(`address ${addressPrefix(address)}`);
  const requireProven = (addressHash: string): void => refuseFor(unproven.waitMs(addressHash, store.clock.now()), "unproven solutions");
  const requireWithinLimit = async (db: Store["db"] | Tx, addressHash: string): Promise<void> => {
    refuseFor(await waitMs(db, addressHash, limit, store.clock.now()), "temporary accounts");
    requireProven(addressHash);
  };

  const challenge: Admission["challenge"] = async (address) => {
    const addressHash = hashOf(address);
    await requireWithinLimit(store.db, addressHash);
    const nowMs = store.clock.now();
    pruning.passBy(nowMs);
    counts.challenges++;
    const seed = randomBytes(SEED_BYTES).toString("base64url");
    const offered: Challenge = { id: newId(), seed, ...work, expiresAtMs: nowMs + lifetimeMs(work), addressHash };
    return { challengeToken: signChallenge(key, offered), seed, ...work };
  };

  const open = (addressHash: string, token: string): Challenge => {
    const given = openChallenge(key, token);
    if (given.expiresAtMs <= store.clock.now()) {
      throw new PlatformError("challenge_expired", { message: "challengeToken: the challenge has expired." });
    }
    if (given.addressHash !== addressHash) {
      throw new PlatformError("challenge_invalid", { message: "challengeToken: the challenge was given to another address." });
    }
    return given;
  };

  const spend = async (given: Challenge): Promise<void> => {
    if (await spendChallenge(store.db, given.id, given.expiresAtMs)) return;
    throw new PlatformError("challenge_spent", { message: "challengeToken: the challenge was answered before." });
  };

  const admit: Admission["admit"] = async (address, answer) => {
    const addressHash = hashOf(address);
    const given = open(addressHash, answer.challengeToken);
    const checkpoints = readCheckpoints(given, answer.checkpoints);
    await requireWithinLimit(store.db, addressHash);
    verifier.requireRoom(given);
    // Nothing is awaited between check and count: answers that arrive at once must not all find the same room.
    requireProven(addressHash);
    const forget = unproven.begin(addressHash, store.clock.now());
    const verify = async () => {
      await spend(given);
      return verifier.verify(checkpoints, given);
    };
    const verdict = await verify().catch((error: unknown) => {
      forget();
      throw error;
    });
    if (verdict.wrong !== null) {
      counts.wrong++;
      throw new PlatformError("solution_wrong", {
        message: `solution.checkpoints: segment ${verdict.wrong} of ${given.k} does not follow from the one before.`,
      });
    }
    forget();
    counts.admitted++;
  };

  const record: Admission["record"] = async (tx, address) => {
    const addressHash = hashOf(address);
    await store.lock(tx, `admission ${addressHash}`);
    const nowMs = store.clock.now();
    refuseFor(await waitMs(tx, addressHash, limit, nowMs), "temporary accounts");
    await insertAdmission(tx, addressHash, nowMs);
  };

  return {
    routes: [
      publicRoute("POST", "/provisioning/previews/challenge", "the price of an account, told to anyone", async (call) =>
        success(await challenge(call.address)),
      ),
    ],
    checkpointCharacters: checkpointCharacters(work),
    challenge,
    admit,
    record,
    stats: () => {
      const { waitingChains, waitingHashes, computedHashes } = verifier.stats();
      return { ...counts, verifiedHashes: computedHashes, waitingChains, waitingHashes };
    },
    [Symbol.asyncDispose]: async () => {
      await verifier[Symbol.asyncDispose]();
      await pruning[Symbol.asyncDispose]();
    },
  };
}
