// What WebAuthn asks of a browser, and whether the answer holds; no rows and no deeds. The library is loaded by the
// first passkey that somebody uses. Source: W3C Web Authentication Level 3, §7.1 and §7.2.
import { isIP } from "node:net";
import { z } from "zod";
import { PlatformError } from "../../kernel/errors.ts";
import { check } from "../http/body.ts";
import type { PasskeyRow } from "./passkey-rows.ts";
import type { Person } from "./person.ts";

/** The relying party: its id is the host name of the only origin that it believes. */
export type Party = { readonly id: string; readonly origin: string };

/** Null where browsers offer no passkeys: plain http off localhost, and addresses instead of names. */
export function relyingParty({ hostname, protocol, origin }: URL): Party | null {
  if (isIP(hostname.replaceAll(/[[\]]/g, "")) !== 0) return null;
  return protocol === "https:" || hostname === "localhost" || hostname.endsWith(".localhost") ? { id: hostname, origin } : null;
}

const library = () => import("@simplewebauthn/server");
const TIMEOUT_MS = 120_000;

// COSE: EdDSA, ES256, RS256, which every authenticator has one of. The library's own list warns on standard error.
const ALGORITHMS = [-8, -7, -257];

const base64url = z.base64url().min(1).max(8192);
const TRANSPORTS = ["ble", "cable", "hybrid", "internal", "nfc", "smart-card", "usb"] as const;
export const assertion = z.object({
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
export const attestation = z.object({
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

/** A browser's answer. @throws PlatformError invalid_input */
export function parsed<S extends z.ZodType>(schema: S, json: string): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new PlatformError("invalid_input", { message: "credential: not the answer of a browser." });
  }
  return check(schema, value, "credential");
}

const handleOf = (person: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(person, "hex"));

/** No list of passkeys: the device shows those that it has, and nobody learns whose are known here. */
export async function requestOptions(party: Party) {
  const { generateAuthenticationOptions } = await library();
  return generateAuthenticationOptions({ rpID: party.id, userVerification: "preferred", timeout: TIMEOUT_MS });
}

export async function creationOptions(party: Party, person: Person, existing: readonly PasskeyRow[]) {
  const { generateRegistrationOptions } = await library();
  return generateRegistrationOptions({
    rpName: "Mayfly",
    rpID: party.id,
    userID: handleOf(person.id),
    userName: person.email,
    userDisplayName: person.name,
    attestationType: "none",
    supportedAlgorithmIDs: ALGORITHMS,
    timeout: TIMEOUT_MS,
    excludeCredentials: existing.map(({ credential_id: id, transports }) => ({ id, transports: transportsIn(transports) })),
    authenticatorSelection: { residentKey: "required", userVerification: "preferred" },
  });
}

/** Why a sign-in with a passkey fails, as the trail says it. */
export type Failure = "passkey-unknown" | "passkey-wrong" | "passkey-counter";
type Verified = { readonly row: PasskeyRow; readonly counter: number; readonly backedUp: boolean };

/** Who signed the challenge. */
export async function verify(
  party: Party,
  row: PasskeyRow | undefined,
  response: z.output<typeof assertion>,
  challenge: string,
): Promise<Verified | Failure> {
  if (row === undefined) return "passkey-unknown";
  const { verifyAuthenticationResponse } = await library();
  const { userHandle, ...signed } = response.response;
  if (typeof userHandle === "string" && !Buffer.from(userHandle, "base64url").equals(handleOf(row.person_id))) return "passkey-wrong";
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: { ...response, response: signed },
      expectedChallenge: challenge,
      expectedOrigin: party.origin,
      expectedRPID: party.id,
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

/**
 * Whether the answer vouches for nothing but itself, which is what was asked. Certificates must not reach the library:
 * for some formats it would fetch revocation lists from addresses that the sender chose.
 */
async function isUnattested(attestationObject: string): Promise<boolean> {
  const { decodeAttestationObject } = await import("@simplewebauthn/server/helpers");
  try {
    const decoded = decodeAttestationObject(new Uint8Array(Buffer.from(attestationObject, "base64url")));
    const format = decoded.get("fmt");
    return format === "none" || (format === "packed" && decoded.get("attStmt").get("x5c") === undefined);
  } catch {
    return false;
  }
}

/** Of a credential's id, decoded. §7.1, step 25; and an index of PostgreSQL's takes no more than some 2,700. */
const ID_MAX_BYTES = 1023;

/** What a new passkey is. @throws PlatformError passkey_refused */
export async function newKey(party: Party, response: z.output<typeof attestation>, challenge: string) {
  const { verifyRegistrationResponse } = await library();
  const { transports, ...answer } = response.response;
  const refusal = (cause?: unknown): PlatformError =>
    new PlatformError("passkey_refused", { message: "The new passkey could not be verified.", cause });
  if (!(await isUnattested(answer.attestationObject))) throw refusal(new Error("An attestation, which was not asked for"));
  const { verified, registrationInfo } = await verifyRegistrationResponse({
    response: { ...response, response: { ...answer, transports: known(transports) } },
    expectedChallenge: challenge,
    expectedOrigin: party.origin,
    expectedRPID: party.id,
    requireUserVerification: false,
    supportedAlgorithmIDs: ALGORITHMS,
  }).catch((cause: unknown) => {
    throw refusal(cause);
  });
  if (!verified) throw refusal();
  const { credential, credentialBackedUp } = registrationInfo;
  if (Buffer.byteLength(credential.id, "base64url") > ID_MAX_BYTES) throw refusal(new Error(`An id of more than ${ID_MAX_BYTES} bytes`));
  return {
    credential_id: credential.id,
    public_key: Buffer.from(credential.publicKey),
    counter: credential.counter,
    transports: JSON.stringify(known(transports)),
    backed_up: credentialBackedUp ? 1 : 0,
  };
}
