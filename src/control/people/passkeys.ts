// Passkeys beside the password: added by somebody who is signed in, and then a way in of its own. The library
// verifies; who is let in, and what is written of it, is decided here, in one transaction with the trail's entry.
// Source: W3C Web Authentication Level 3, §7.1 and §7.2.
import { z } from "zod";
import { PlatformError } from "../../kernel/errors.ts";
import { check } from "../http/body.ts";
import { PLAIN } from "../http/plain-text.ts";
import type { Keys } from "../keys/keys.ts";
import type { Store } from "../store/store.ts";
import type { Deed, Trail } from "../trail/trail.ts";
import { networkOf, PASSKEY_BY_PERSON, SIGN_IN_BY_ADDRESS, type Attempts } from "./attempts.ts";
import type { Visit } from "./auth.ts";
import { createPasskeyChallenges, type Purpose } from "./passkey-challenges.ts";
import { createPasskeyRows } from "./passkey-rows.ts";
import type { Person, SignedIn } from "./person.ts";
import {
  assertion,
  attestation,
  creationOptions,
  newKey,
  parsed,
  relyingParty,
  requestOptions,
  verify,
  type Failure,
  type Party,
} from "./web-authn.ts";

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
  /**
   * Ends all of the person's sessions but the one that asks too: a passkey may have opened any of them. Does nothing
   * when the person has no such passkey.
   * @throws PlatformError last_way_in
   */
  remove(person: Person, id: string, headers: Headers, address: string): Promise<void>;
};

export type PasskeysOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly url: URL;
  readonly attempts: Attempts;
  /** Gives the person of that id a session. */
  readonly enter: (person: string, visit: Visit) => Promise<SignedIn>;
  /** Id of the session whose cookie the request carries. */
  readonly sessionOf: (headers: Headers) => Promise<string | null>;
};

const passkeyName = z
  .string("missing")
  .trim()
  .min(1, "missing")
  .max(60, "longer than 60 characters")
  .regex(PLAIN, "holds characters that cannot be shown");

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
} as const satisfies Record<Failure, readonly [string, string]>;

const failed = (why: Failure): PlatformError => {
  const [message, next] = FAILURES[why];
  return new PlatformError("sign_in_failed", { message, next });
};

type Base = PasskeysOptions & { readonly party: Party };

const named = (passkey: string): string => `passkey/${passkey}`;

type Told = { readonly person: string | null; readonly action: Deed; readonly address: string; readonly reason: string };

function recorder({ store }: Base) {
  return ({ person, action, address, reason }: Told, outcome: "done" | "refused" = "done") => ({
    at: store.clock.now(),
    account: null,
    task: null,
    // Who was refused has proven nothing.
    actors: person === null || outcome === "refused" ? [] : [`person/${person}`],
    token: null,
    action,
    resource: `person/${person ?? "unknown"}`,
    outcome,
    reason,
    operatorText: JSON.stringify({ address }),
  });
}

const SIGN_IN: Purpose = { deed: "sign-in", person: null };
const adding = (person: Person): Purpose => ({ deed: "add", person: person.id });

type Parts = Base & {
  readonly rows: ReturnType<typeof createPasskeyRows>;
  readonly challenges: ReturnType<typeof createPasskeyChallenges>;
  readonly entry: ReturnType<typeof recorder>;
};

function entrance(parts: Parts): Pick<Passkeys, "signInOptions" | "signIn"> {
  const { store, trail, attempts, rows, challenges, entry, enter, party } = parts;
  return {
    signInOptions: async () => {
      const options = await requestOptions(party);
      return { options, cookie: await challenges.keep(options.challenge, SIGN_IN) };
    },
    signIn: async (credential, headers, address) => {
      attempts.spend(SIGN_IN_BY_ADDRESS, networkOf(address));
      const response = parsed(assertion, credential);
      const challenge = await challenges.take(headers, SIGN_IN);
      if (challenge === null) throw late("sign_in_failed");
      const row = await rows.find(response.id);
      const outcome = await attempts.bounded(() => verify(party, row, response, challenge));
      if (typeof outcome === "string") {
        const reason = row ? `${outcome} ${named(row.id)}` : outcome;
        const told = entry({ person: row?.person_id ?? null, action: "person:sign-in", address, reason }, "refused");
        await store.transaction((tx) => trail.append(tx, told));
        throw failed(outcome);
      }
      const signedIn = await enter(outcome.row.person_id, {
        deed: "sign-in",
        address,
        means: named(outcome.row.id),
        within: async (tx) => {
          if (!(await rows.use(tx, outcome.row, outcome.counter, outcome.backedUp))) throw failed("passkey-wrong");
        },
      });
      attempts.refund(SIGN_IN_BY_ADDRESS, networkOf(address));
      return signedIn;
    },
  };
}

function keyring(parts: Parts): Omit<Passkeys, "signInOptions" | "signIn"> {
  const { store, trail, attempts, rows, challenges, entry, sessionOf, party } = parts;
  return {
    addOptions: async (person) => {
      attempts.spend(PASSKEY_BY_PERSON, person.id);
      const options = await creationOptions(party, person, await rows.ofPerson(person.id));
      return { options, cookie: await challenges.keep(options.challenge, adding(person)) };
    },
    add: async (person, form, headers, address) => {
      attempts.spend(PASSKEY_BY_PERSON, person.id);
      const { name } = check(z.object({ name: passkeyName }), form, "form");
      const response = parsed(attestation, form.credential);
      const challenge = await challenges.take(headers, adding(person));
      if (challenge === null) throw late("passkey_refused");
      const passkey = await attempts.bounded(() => newKey(party, response, challenge));
      await store.transaction(async (tx) => {
        const id = await rows.insert(tx, { ...passkey, person_id: person.id, name });
        await trail.append(tx, entry({ person: person.id, action: "person:passkey-add", address, reason: named(id) }));
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
    remove: async (person, id, headers, address) => {
      const own = await sessionOf(headers);
      await store.transaction(async (tx) => {
        if (!(await rows.remove(tx, person.id, id))) return;
        const told = { person: person.id, address };
        await trail.append(tx, entry({ ...told, action: "person:passkey-remove", reason: named(id) }));
        const count = await rows.endSessions(tx, person.id, own);
        const reason = `removal of ${named(id)}`;
        if (count > 0) await trail.append(tx, { ...entry({ ...told, action: "person:sign-out", reason }), count });
      });
    },
  };
}

/** Null where the public origin can have no passkeys. */
export function createPasskeys(options: PasskeysOptions): Passkeys | null {
  const party = relyingParty(options.url);
  if (party === null) return null;
  const base = { ...options, party };
  const parts = { ...base, rows: createPasskeyRows(options.store), challenges: createPasskeyChallenges(options), entry: recorder(base) };
  return { ...entrance(parts), ...keyring(parts) };
}
