// Passkeys beside the password: added by somebody who is signed in, and then a way in of its own. The library
// verifies; who is let in, and what is written of it, is decided here, in one transaction with the trail's entry.
// Source: W3C Web Authentication Level 3, §7.1 and §7.2.
import { isIP } from "node:net";
import {
  generateAuthenticationOptions,
  generateRegistrationOptions,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from "@simplewebauthn/server";
import { z } from "zod";
import { PlatformError } from "../../kernel/errors.ts";
import { check } from "../http/body.ts";
import type { Keys } from "../keys/keys.ts";
import type { Store } from "../store/store.ts";
import type { Deed, Trail } from "../trail/trail.ts";
import { networkOf, PASSKEY_BY_PERSON, SIGN_IN_BY_ADDRESS, type Attempts } from "./attempts.ts";
import type { Visit } from "./auth.ts";
import { createPasskeyChallenges, type Purpose } from "./passkey-challenges.ts";
import { createPasskeyRows, type PasskeyRow } from "./passkey-rows.ts";
import { PLAIN, type Person, type SignedIn } from "./person.ts";

export type Passkey = {
  readonly id: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly lastUsedAtMs: number | null;
  /** Whether it is kept in sync between a person's devices. */
  readonly synced: boolean;
};

/** What a browser is asked, and the Set-Cookie header that binds the answer to it. */
export type Asked = { readonly options: object; readonly cookie: string };

export type Passkeys = {
  signInOptions(): Promise<Asked>;
  /** @param credential the browser's answer as JSON @throws PlatformError sign_in_failed, too_many_tries, invalid_input */
  signIn(credential: string, headers: Headers, address: string): Promise<SignedIn>;
  /** @throws PlatformError too_many_tries */
  addOptions(person: Person): Promise<Asked>;
  /** @throws PlatformError passkey_refused, too_many_tries, invalid_input */
  add(person: Person, form: { readonly name: string; readonly credential: string }, headers: Headers, address: string): Promise<void>;
  list(person: Person): Promise<Passkey[]>;
  /** Does nothing when the person has no such passkey. @throws PlatformError last_way_in */
  remove(person: Person, id: string, address: string): Promise<void>;
};

export type PasskeysOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly url: URL;
  readonly attempts: Attempts;
  /** Gives the person of that id a session. */
  readonly enter: (person: string, visit: Visit) => Promise<SignedIn>;
};

/** The relying party's id: the origin's host name; null where browsers offer no passkeys. */
export function relyingParty(url: URL): string | null {
  const { hostname } = url;
  if (isIP(hostname.replaceAll(/[[\]]/g, "")) !== 0) return null;
  return url.protocol === "https:" || hostname === "localhost" || hostname.endsWith(".localhost") ? hostname : null;
}

// COSE: EdDSA, ES256, RS256, which every authenticator has one of. The library's own list warns on standard error.
const ALGORITHMS = [-8, -7, -257];

const base64url = z.base64url().min(1).max(8192);
const TRANSPORTS = ["ble", "cable", "hybrid", "internal", "nfc", "smart-card", "usb"] as const;
const assertion = z.object({
  id: base64url,
  rawId: base64url,
  type: z.literal("public-key"),
  clientExtensionResults: z.object({}).default({}),
  response: z.object({
    clientDataJSON: base64url,
    authenticatorData: base64url,
    signature: base64url,
    userHandle: z.base64url().max(200).nullish(),
  }),
});
const attestation = z.object({
  ...assertion.shape,
  response: z.object({
    clientDataJSON: base64url,
    attestationObject: base64url,
    transports: z.array(z.string().max(20)).max(10).default([]),
  }),
});
/** Those of a list that this code knows; browsers may name others. */
const known = (transports: readonly unknown[]) => TRANSPORTS.filter((transport) => transports.includes(transport));
const transportsIn = (json: string) => known(JSON.parse(json) as unknown[]);
const passkeyName = z
  .string("missing")
  .trim()
  .min(1, "missing")
  .max(60, "longer than 60 characters")
  .regex(PLAIN, "holds characters that cannot be shown");

function parsed<S extends z.ZodType>(schema: S, json: string): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new PlatformError("invalid_input", { message: "credential: not the answer of a browser." });
  }
  return check(schema, value, "credential");
}

const handleOf = (person: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(person, "hex"));

const late = (code: "sign_in_failed" | "passkey_refused"): PlatformError =>
  new PlatformError(code, {
    message: "The browser's answer came too late, or was used before.",
    next: "Press the button again.",
  });

/** Why a sign-in with a passkey fails, in words for the person and one for the trail. */
const FAILURES = {
  "passkey-unknown": [
    "This passkey is not known here; it may have been removed.",
    "Sign in with your password. The passkey can be deleted from your device.",
  ],
  "passkey-wrong": ["This passkey could not be verified.", "Try again, or sign in with your password."],
  "passkey-counter": [
    "This passkey counts fewer uses than were seen here before: there may be a copy of it.",
    "Sign in with your password, remove this passkey and add a new one.",
  ],
} as const;
type Failure = keyof typeof FAILURES;

const failed = (why: Failure): PlatformError => {
  const [message, next] = FAILURES[why];
  return new PlatformError("sign_in_failed", { message, next });
};

type Base = PasskeysOptions & { readonly rpId: string };

function recorder({ store }: Base) {
  return (person: string | null, action: Deed, address: string, failure?: Failure) => ({
    at: store.clock.now(),
    account: null,
    task: null,
    actors: person === null ? [] : [`person/${person}`],
    token: null,
    action,
    resource: `person/${person ?? "unknown"}`,
    outcome: failure === undefined ? ("done" as const) : ("refused" as const),
    ...(failure !== undefined && { reason: failure }),
    operatorText: JSON.stringify({ address }),
  });
}

type Verified = { readonly row: PasskeyRow; readonly counter: number; readonly backedUp: boolean };

/** Who signed the challenge. */
async function verify(
  { url, rpId }: Base,
  row: PasskeyRow | undefined,
  response: z.output<typeof assertion>,
  challenge: string,
): Promise<Verified | Failure> {
  if (row === undefined) return "passkey-unknown";
  const { userHandle, ...signed } = response.response;
  if (typeof userHandle === "string" && !Buffer.from(userHandle, "base64url").equals(handleOf(row.person_id))) return "passkey-wrong";
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: { ...response, response: signed },
      expectedChallenge: challenge,
      expectedOrigin: url.origin,
      expectedRPID: rpId,
      requireUserVerification: false,
      // The library would compare counts before it has checked the signature: it is given none, and they are compared here.
      credential: { id: row.credential_id, publicKey: new Uint8Array(row.public_key), counter: 0 },
    });
    if (!verified) return "passkey-wrong";
    const { newCounter: counter, credentialBackedUp: backedUp } = authenticationInfo;
    if ((counter > 0 || row.counter > 0) && counter <= row.counter) return "passkey-counter";
    return { row, counter, backedUp };
  } catch {
    return "passkey-wrong";
  }
}

const SIGN_IN: Purpose = { deed: "sign-in", person: null };
const adding = (person: Person): Purpose => ({ deed: "add", person: person.id });

type Parts = Base & {
  readonly rows: ReturnType<typeof createPasskeyRows>;
  readonly challenges: ReturnType<typeof createPasskeyChallenges>;
  readonly entry: ReturnType<typeof recorder>;
};

function entrance(parts: Parts): Pick<Passkeys, "signInOptions" | "signIn"> {
  const { store, trail, attempts, rows, challenges, entry, enter, rpId } = parts;
  return {
    signInOptions: async () => {
      // No list of passkeys: the device shows those that it has, and nobody learns whose are known here.
      const options = await generateAuthenticationOptions({ rpID: rpId, userVerification: "preferred", timeout: 120_000 });
      return { options, cookie: await challenges.keep(options.challenge, SIGN_IN) };
    },
    signIn: async (credential, headers, address) => {
      attempts.spend(SIGN_IN_BY_ADDRESS, networkOf(address));
      const response = parsed(assertion, credential);
      const challenge = await challenges.take(headers, SIGN_IN);
      if (challenge === null) throw late("sign_in_failed");
      const row = await rows.find(response.id);
      const outcome = await attempts.bounded(() => verify(parts, row, response, challenge));
      if (typeof outcome === "string") {
        await store.transaction((tx) => trail.append(tx, entry(row?.person_id ?? null, "person:sign-in", address, outcome)));
        throw failed(outcome);
      }
      const signedIn = await enter(outcome.row.person_id, {
        deed: "sign-in",
        address,
        means: "passkey",
        within: async (tx) => {
          if (!(await rows.use(tx, outcome.row, outcome.counter, outcome.backedUp))) throw failed("passkey-wrong");
        },
      });
      attempts.refund(SIGN_IN_BY_ADDRESS, networkOf(address));
      return signedIn;
    },
  };
}

/** What a new passkey is. @throws PlatformError passkey_refused */
async function registered({ url, rpId }: Base, response: z.output<typeof attestation>, challenge: string) {
  const { transports, ...answer } = response.response;
  const refusal = (cause?: unknown): PlatformError =>
    new PlatformError("passkey_refused", { message: "The new passkey could not be verified.", cause });
  const { verified, registrationInfo } = await verifyRegistrationResponse({
    response: { ...response, response: { ...answer, transports: known(transports) } },
    expectedChallenge: challenge,
    expectedOrigin: url.origin,
    expectedRPID: rpId,
    requireUserVerification: false,
    supportedAlgorithmIDs: ALGORITHMS,
  }).catch((cause: unknown) => {
    throw refusal(cause);
  });
  if (!verified) throw refusal();
  const { credential, credentialBackedUp } = registrationInfo;
  return {
    credential_id: credential.id,
    public_key: Buffer.from(credential.publicKey),
    counter: credential.counter,
    transports: JSON.stringify(known(transports)),
    backed_up: credentialBackedUp ? 1 : 0,
  };
}

function keyring(parts: Parts): Omit<Passkeys, "signInOptions" | "signIn"> {
  const { store, trail, attempts, rows, challenges, entry, rpId } = parts;
  return {
    addOptions: async (person) => {
      attempts.spend(PASSKEY_BY_PERSON, person.id);
      const existing = await rows.ofPerson(person.id);
      const options = await generateRegistrationOptions({
        rpName: "Mayfly",
        rpID: rpId,
        userID: handleOf(person.id),
        userName: person.email,
        userDisplayName: person.name,
        attestationType: "none",
        supportedAlgorithmIDs: ALGORITHMS,
        timeout: 120_000,
        excludeCredentials: existing.map(({ credential_id: id, transports }) => ({ id, transports: transportsIn(transports) })),
        authenticatorSelection: { residentKey: "required", userVerification: "preferred" },
      });
      return { options, cookie: await challenges.keep(options.challenge, adding(person)) };
    },
    add: async (person, form, headers, address) => {
      attempts.spend(PASSKEY_BY_PERSON, person.id);
      const { name } = check(z.object({ name: passkeyName }), form, "form");
      const response = parsed(attestation, form.credential);
      const challenge = await challenges.take(headers, adding(person));
      if (challenge === null) throw late("passkey_refused");
      const passkey = await attempts.bounded(() => registered(parts, response, challenge));
      await store.transaction(async (tx) => {
        await rows.insert(tx, { ...passkey, person_id: person.id, name });
        await trail.append(tx, entry(person.id, "person:passkey-add", address));
      });
    },
    list: async (person) =>
      (await rows.ofPerson(person.id)).map((row) => ({
        id: row.id,
        name: row.name,
        createdAtMs: row.created_at,
        lastUsedAtMs: row.last_used_at,
        synced: row.backed_up === 1,
      })),
    remove: (person, id, address) =>
      store.transaction(async (tx) => {
        if (await rows.remove(tx, person.id, id)) await trail.append(tx, entry(person.id, "person:passkey-remove", address));
      }),
  };
}

/** Null where the public origin can have no passkeys. */
export function createPasskeys(options: PasskeysOptions): Passkeys | null {
  const rpId = relyingParty(options.url);
  if (rpId === null) return null;
  const base = { ...options, rpId };
  const parts = { ...base, rows: createPasskeyRows(options.store), challenges: createPasskeyChallenges(options), entry: recorder(base) };
  return { ...entrance(parts), ...keyring(parts) };
}
