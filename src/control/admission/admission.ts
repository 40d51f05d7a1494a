// Who gets an account: whoever solved a challenge of ours, once, in time, from the address that asked for it, at a price that
// rises with the pressure, and within every limit. What is cheap to check is checked first, and nothing is hashed before it is paid for.
import { randomBytes } from "node:crypto";
import { PlatformError } from "../../kernel/errors.ts";
import { newId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import { success } from "../http/envelope.ts";
import { publicRoute, type Route } from "../http/routes.ts";
import type { Keys } from "../keys/keys.ts";
import type { Store, Tx } from "../store/store.ts";
import {
  ageMs,
  checkpointCharacters,
  divideWork,
  hashesOf,
  lifetimeMs,
  openChallenge,
  readCheckpoints,
  signChallenge,
  solvingMs,
  type Challenge,
  type Work,
} from "./challenge.ts";
import { Gate } from "./gate.ts";
import { limitsOf, type LimitOptions, type Limits } from "./limits.ts";
import { Offered } from "./offered.ts";
import { isOutpriced, taken } from "./pressure.ts";
import { createPruning } from "./pruning.ts";
import { spendChallenge, type Caller } from "./records.ts";
import { createRefusals, type Refused } from "./refused.ts";
import { createVerifier, type Verifier, type VerifierLimits } from "./verifier.ts";

const SEED_BYTES = 32;
/** Of right answers, since wrong ones are found within four segments: half a minute with vectors. */
const QUEUE: VerifierLimits = { maxChains: 256, maxHashes: 256_000_000 };

export type AdmissionOptions = LimitOptions & {
  readonly store: Store;
  readonly keys: Keys;
  /** The directory that accounts are stored in, and bytes of its file system that stay free; 0: no reserve. */
  readonly data: string;
  readonly diskReserveBytes: number;
  /** Proof of work for one account without pressure, and at most: 1 to 64,000,000 hashes. */
  readonly powHashes: number;
  readonly powMaxHashes: number;
  readonly log: Log;
  /** Bounds of the queue before the verifier: 256 chains and 256,000,000 hashes unless given. */
  readonly queue?: VerifierLimits;
};

/** As it goes over the wire; `seed` is base64url of 32 bytes. */
export type OfferedChallenge = { readonly challengeToken: string; readonly seed: string; readonly k: number; readonly g: number };

/** `checkpoints` in standard base64. */
type Answer = { readonly challengeToken: string; readonly checkpoints: string };

export type AdmissionStats = {
  /** Since the start. */
  readonly challenges: number;
  readonly admitted: number;
  readonly wrong: number;
  readonly verifiedHashes: number;
  /** By which limit or error; only reasons that occurred. */
  readonly refused: Readonly<Refused>;
  /** Now. */
  readonly waitingChains: number;
  readonly waitingHashes: number;
  /** Hashes that somebody pays who was never seen. */
  readonly price: number;
  /** How much of the installation's fullest limit is taken: 1 when nobody gets an account. */
  readonly pressure: number;
  /** Accounts made within the hour, and those that live unclaimed. */
  readonly accountsInHour: number;
  readonly liveAccounts: number;
  readonly limits: LimitOptions & { readonly accountsPerHourPerNetwork: number; readonly powHashes: number; readonly powMaxHashes: number };
};

export type Admission = AsyncDisposable & {
  readonly routes: readonly Route[];
  /** Of the longest checkpoints that the address was asked for: a body much larger than this answers no challenge of ours. */
  checkpointCharacters(address: string): number;
  /** @throws PlatformError too_many_challenges, too_many_accounts, machine_full, so that nobody solves in vain */
  challenge(address: string): Promise<OfferedChallenge>;
  /**
   * Resolves when the answer is right; a challenge is spent by its first answer of the right form, right or wrong.
   * @throws PlatformError challenge_invalid, challenge_expired, challenge_outpriced, challenge_spent, invalid_input,
   *   solution_wrong, too_many_accounts, machine_full, verifier_busy
   */
  admit(address: string, answer: Answer): Promise<void>;
  /** Counts an account in the transaction that makes it; exact however many race. @throws PlatformError too_many_accounts, machine_full */
  record(tx: Tx, address: string): Promise<void>;
  /** As of the last look. */
  stats(): AdmissionStats;
  /** Counts anew what the price of somebody unknown depends on; at most once a second. */
  look(): Promise<void>;
};

/** Divides each price once. */
function divisions(): (hashes: number) => Work {
  const known = new Map<number, Work>();
  return (hashes) => {
    const work = known.get(hashes) ?? divideWork(hashes);
    known.set(hashes, work);
    return work;
  };
}

function open(key: Uint8Array, { addressHash }: Caller, token: string, nowMs: number): Challenge {
  const given = openChallenge(key, token);
  if (given.expiresAtMs <= nowMs) {
    throw new PlatformError("challenge_expired", { message: "challengeToken: the challenge has expired." });
  }
  if (given.addressHash !== addressHash) {
    throw new PlatformError("challenge_invalid", { message: "challengeToken: the challenge was given to another address." });
  }
  return given;
}

function requireWorth(given: Challenge, priceNow: number, nowMs: number): void {
  if (!isOutpriced({ hashes: hashesOf(given), priceNow, ageMs: ageMs(given, nowMs), solvingMs: solvingMs(given) })) return;
  throw new PlatformError("challenge_outpriced", {
    message: `challengeToken: an account costs ${priceNow} hashes now, more than four times what this challenge asked for.`,
  });
}

function now(gate: Gate, verifier: Verifier) {
  const { waitingChains, waitingHashes, computedHashes } = verifier.stats();
  const { made, live } = gate.installation.last;
  const [price, pressure] = [gate.unknownPrice(), Math.max(...gate.installation.loads().map(taken))];
  return { verifiedHashes: computedHashes, waitingChains, waitingHashes, price, pressure, accountsInHour: made, liveAccounts: live };
}

const shown = ({ accounts, liveAccounts }: Limits, pow: Pick<AdmissionOptions, "powHashes" | "powMaxHashes">) => ({
  accountsPerHourPerIp: accounts.address,
  accountsPerHourPerNetwork: accounts.network,
  accountsPerHour: accounts.installation,
  accountsMax: liveAccounts,
  ...pow,
});

type Parts = {
  readonly options: AdmissionOptions;
  readonly gate: Gate;
  readonly verifier: Verifier;
  readonly offered: Offered;
  readonly workOf: (hashes: number) => Work;
  readonly key: Uint8Array;
  readonly counts: { challenges: number; admitted: number; wrong: number };
};

async function give({ options, gate, offered, workOf, key, counts }: Parts, address: string): Promise<OfferedChallenge> {
  const caller = gate.callerOf(address);
  gate.takeChallenge(caller);
  const work = workOf(await gate.price(caller));
  const everybodys = workOf(gate.unknownPrice());
  const nowMs = options.store.clock.now();
  counts.challenges++;
  const expiresAtMs = nowMs + lifetimeMs(work);
  offered.note(caller.addressHash, work.k, expiresAtMs, nowMs);
  offered.note(null, everybodys.k, nowMs + lifetimeMs(everybodys), nowMs);
  const seed = randomBytes(SEED_BYTES).toString("base64url");
  const given: Challenge = { id: newId(), seed, ...work, expiresAtMs, addressHash: caller.addressHash };
  return { challengeToken: signChallenge(key, given), seed, ...work };
}

async function spend({ db }: Store, given: Challenge): Promise<void> {
  if (await spendChallenge(db, given.id, given.expiresAtMs)) return;
  throw new PlatformError("challenge_spent", { message: "challengeToken: the challenge was answered before." });
}

async function take(parts: Parts, address: string, answer: Answer): Promise<void> {
  const { options, gate, verifier, key, counts } = parts;
  const { store } = options;
  const caller = gate.callerOf(address);
  const given = open(key, caller, answer.challengeToken, store.clock.now());
  const checkpoints = readCheckpoints(given, answer.checkpoints);
  requireWorth(given, await gate.price(caller), store.clock.now());
  // Before the challenge is spent: who finds no room may answer again with the same work.
  using room = verifier.reserve(given);
  // Nothing is awaited between check and count: answers that arrive at once must not all find the same room.
  gate.requireProven(caller);
  const counting = gate.beginAnswer(caller);
  const verify = async () => {
    await spend(store, given);
    return room.verify(checkpoints);
  };
  const verdict = await verify().catch((error: unknown) => {
    counting.forget();
    throw error;
  });
  if (verdict.wrong !== null) {
    counting.wrong();
    counts.wrong++;
    throw new PlatformError("solution_wrong", {
      message: `solution.checkpoints: segment ${verdict.wrong} of ${given.k} does not follow from the one before.`,
    });
  }
  counting.forget();
  counts.admitted++;
}

export function createAdmission(options: AdmissionOptions): Admission {
  const { store, keys, log, powHashes } = options;
  const powMaxHashes = Math.max(powHashes, options.powMaxHashes);
  const limits = limitsOf(options);
  const gate = new Gate({ ...options, limits, prices: { base: powHashes, ceiling: powMaxHashes } });
  const workOf = divisions();
  const dearest = workOf(powMaxHashes);
  const offered = new Offered(workOf(powHashes), { k: dearest.k, untilMs: store.clock.now() + lifetimeMs(dearest) });
  const verifier = createVerifier(options.queue ?? QUEUE, log);
  const pruning = createPruning(store, log);
  const { refused, counted } = createRefusals(log);
  const counts = { challenges: 0, admitted: 0, wrong: 0 };
  const parts: Parts = { options, gate, verifier, offered, workOf, key: keys.signing("challenge"), counts };

  const challenge = async (address: string): Promise<OfferedChallenge> => {
    const given = await counted(give(parts, address));
    pruning.passBy(store.clock.now());
    return given;
  };

  return {
    routes: [
      publicRoute("POST", "/provisioning/previews/challenge", "the price of an account, told to anyone", async (call) =>
        success(await challenge(call.address)),
      ),
    ],
    checkpointCharacters: (address) => checkpointCharacters({ k: offered.segments(gate.callerOf(address).addressHash, store.clock.now()) }),
    challenge,
    admit: (address, answer) => counted(take(parts, address, answer)),
    record: (tx, address) => counted(gate.record(tx, gate.callerOf(address))),
    look: async () => void (await gate.installation.look()),
    stats: () => ({ ...counts, ...now(gate, verifier), refused: { ...refused }, limits: shown(limits, { powHashes, powMaxHashes }) }),
    [Symbol.asyncDispose]: async () => {
      await verifier[Symbol.asyncDispose]();
      await pruning[Symbol.asyncDispose]();
    },
  };
}
