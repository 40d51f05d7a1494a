// People: who signs up, in and out, who they are, and how the first operator comes about. Every refusal is one
// of ours; what better-auth says of itself goes no further.
import { APIError } from "better-auth/api";
import { z } from "zod";
import { PlatformError } from "../../kernel/errors.ts";
import { isSecret } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import { check } from "../http/body.ts";
import { PLAIN } from "../http/plain-text.ts";
import type { Keys } from "../keys/keys.ts";
import type { Role } from "../store/schema.ts";
import type { Store, Tx } from "../store/store.ts";
import type { Trail } from "../trail/trail.ts";
import { createAttempts, networkOf, SIGN_IN_BY_ADDRESS, SIGN_IN_BY_EMAIL, SIGN_UP_BY_ADDRESS } from "./attempts.ts";
import { createAuth, PASSWORD_MAX, PASSWORD_MIN, type Visit } from "./auth.ts";
import { createInvitations, type Invitations } from "./invitations.ts";
import { createPasskeys, type Passkeys } from "./passkeys.ts";
import type { Person, SignedIn } from "./person.ts";

export type SignUpPolicy = "open" | "verified" | "invite";

export type Credentials = { readonly email: string; readonly password: string };

export type PeopleOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly url: URL;
  readonly signUp: SignUpPolicy;
  readonly log: Log;
};

export type People = {
  readonly policy: SignUpPolicy;
  /** Null where the public origin can have none: http off localhost, or an address instead of a name. */
  readonly passkeys: Passkeys | null;
  /** The person whose session the Cookie header carries; null when there is none. */
  session(headers: Headers): Promise<Person | null>;
  /** @throws PlatformError sign_in_failed, too_many_tries, invalid_input */
  signIn(credentials: Credentials, address: string): Promise<SignedIn>;
  /**
   * @param invitation secret of an invitation or of the operator's link; null without
   * @throws PlatformError sign_up_closed, sign_up_failed, invitation_unknown, too_many_tries, invalid_input
   */
  signUp(draft: Credentials & { readonly name: string }, invitation: string | null, address: string): Promise<SignedIn>;
  /** Ends the session; the answer holds the Set-Cookie headers that clear it. */
  signOut(headers: Headers, address: string): Promise<{ readonly cookies: readonly string[] }>;
  /** A link, good for seven days, with which the first operator signs up; null once there is one. */
  operatorLink(): Promise<string | null>;
  /** A link that lets one more person sign up. @throws PlatformError forbidden unless the person is an operator */
  invite(by: Person): Promise<string>;
  /** The role that a link's secret gives; null when it is unknown, used or late. */
  invitation(secret: string): Promise<Role | null>;
  /** Ends those of the secrets that are invitations or operator's links, each with its trail entry; all others change nothing. */
  endLeaked(secrets: readonly string[]): Promise<void>;
  /** Makes a person who signed up before the operator. @throws PlatformError invitation_unknown */
  becomeOperator(person: Person, secret: string): Promise<void>;
};

const email = z.string("missing").trim().max(254, "longer than 254 characters").pipe(z.email("not an e-mail address"));
const credentials = z.object({ email, password: z.string("missing").min(1, "missing").max(1000, "too long") });
const draft = z.object({
  name: z
    .string("missing")
    .trim()
    .min(1, "missing")
    .max(80, "longer than 80 characters")
    .regex(PLAIN, "holds characters that cannot be shown"),
  email,
  password: z
    .string("missing")
    .min(PASSWORD_MIN, `shorter than ${PASSWORD_MIN} characters`)
    .max(PASSWORD_MAX, `longer than ${PASSWORD_MAX} characters`),
});

const WRONG_CREDENTIALS: ReadonlySet<string> = new Set(["INVALID_EMAIL_OR_PASSWORD", "INVALID_EMAIL", "PASSWORD_TOO_LONG"]);

const cookieOnly = (headers: Headers): Headers => new Headers({ cookie: headers.get("cookie") ?? "" });

const unknownInvitation = (): PlatformError =>
  new PlatformError("invitation_unknown", { message: "This link is not known, was used, or is too old." });

/** @throws PlatformError sign_up_closed unless anybody may sign up */
function checkOpen(policy: SignUpPolicy): void {
  if (policy === "open") return;
  throw new PlatformError("sign_up_closed", {
    message:
      policy === "invite"
        ? "Signing up here is by invitation."
        : "Signing up here wants a verified e-mail address, and this installation cannot send e-mail.",
  });
}

/** What better-auth answers a sign-in and a sign-up with; its types leave out the headers. */
type Entered = { readonly headers: Headers; readonly response: { readonly user: User } };
type User = { readonly id: string; readonly name: string; readonly email: string; readonly role?: string | null | undefined };

const personOf = (user: User): Person => ({
  id: user.id,
  name: user.name,
  email: user.email,
  role: user.role === "operator" ? "operator" : "person",
});

type Links = Pick<People, "operatorLink" | "invite" | "invitation" | "endLeaked" | "becomeOperator">;

/** The links that let somebody in, or make them the operator. */
function linksOf({ store, trail, url }: PeopleOptions, invitations: Invitations): Links {
  return {
    operatorLink: async () => {
      const secret = await invitations.forOperator();
      return secret === null ? null : `${url.origin}/operator#${secret}`;
    },
    invite: async (by) => {
      const secret = await store.transaction(async (tx) => {
        // Read again: the session says who somebody is, the row what they may do.
        const row = await tx.selectFrom("person").select("role").where("id", "=", by.id).executeTakeFirst();
        if (row?.role !== "operator") throw new PlatformError("forbidden", { message: "Only an operator invites people." });
        await trail.append(tx, deedOf(store, by, "person:invite"));
        return invitations.forPerson(tx, by.id);
      });
      return `${url.origin}/invitation#${secret}`;
    },
    invitation: async (secret) => (isSecret("mfo", secret) || isSecret("mfi", secret) ? invitations.peek(secret) : null),
    endLeaked: async (secrets) => {
      for (const secret of await invitations.known(secrets.filter((one) => isSecret("mfo", one) || isSecret("mfi", one)))) {
        await store.transaction(async (tx) => {
          if (!(await invitations.end(tx, secret))) return;
          const entry = { at: store.clock.now(), account: null, task: null, actors: ["mayfly"], token: null };
          await trail.append(tx, {
            ...entry,
            action: "invitation:end",
            resource: "invitation/*",
            outcome: "done",
            reason: "leaked in a URL",
          });
        });
      }
    },
    becomeOperator: (person, secret) =>
      store.transaction(async (tx) => {
        if ((await invitations.consume(tx, secret)) !== "operator") throw unknownInvitation();
        await tx.updateTable("person").set({ role: "operator" }).where("id", "=", person.id).execute();
        await trail.append(tx, deedOf(store, person, "person:become-operator"));
      }),
  };
}

/** Opens the doors for people. The store's tables must stand. */
export function createPeople(options: PeopleOptions): People {
  const { store, keys, trail, url, signUp: policy } = options;
  const auth = createAuth(options);
  const invitations = createInvitations({ store, keys });
  const attempts = createAttempts(store.clock);

  const admission =
    (invitation: string | null) =>
    async (tx: Tx): Promise<Role> => {
      if (invitation === null) return "person";
      const role = await invitations.consume(tx, invitation);
      if (role === null) throw unknownInvitation();
      return role;
    };

  /** Runs a call of better-auth; what it refuses becomes ours, what fails in it stays a failure. */
  const enter = async (visit: Visit, call: () => Promise<Entered>, refusalOf: (code: string) => Promise<PlatformError | undefined>) => {
    try {
      const { headers, response } = await attempts.bounded(() => auth.during(visit, call));
      return { person: personOf(response.user), cookies: headers.getSetCookie() };
    } catch (error) {
      const code = error instanceof APIError ? (error.body?.code ?? "") : "";
      throw visit.refusal ?? (await refusalOf(code)) ?? error;
    }
  };

  /** What is over must not pile up; nobody can use it any more. */
  const forget = () => store.db.deleteFrom("person_session").where("expiresAt", "<", new Date()).execute();

  const isTaken = async (email: string): Promise<boolean> =>
    (await store.db.selectFrom("person").select("id").where("email", "=", email.toLowerCase()).executeTakeFirst()) !== undefined;

  const found = async (headers: Headers) => (headers.has("cookie") ? auth.api.getSession({ headers: cookieOnly(headers) }) : null);

  const passkeys = createPasskeys({
    store,
    keys,
    trail,
    url,
    attempts,
    enter: async (userId, visit) => {
      const proven = () => auth.api.signInProven({ body: { userId }, returnHeaders: true }) as Promise<Entered>;
      const entered = await enter(visit, proven, () => Promise.resolve(undefined));
      await forget();
      return entered;
    },
    sessionOf: async (headers) => (await found(headers))?.session.id ?? null,
  });

  return {
    policy,
    passkeys,
    session: async (headers) => {
      const session = await found(headers);
      return session && personOf(session.user);
    },
    signIn: async (given, address) => {
      const { email, password } = check(credentials, given, "form");
      const [network, addressee] = [networkOf(address), keys.lookupHash(email.toLowerCase())];
      attempts.spend(SIGN_IN_BY_ADDRESS, network);
      attempts.spend(SIGN_IN_BY_EMAIL, addressee);
      const signIn = () => auth.api.signInEmail({ body: { email, password }, returnHeaders: true }) as Promise<Entered>;
      const entered = await enter({ deed: "sign-in", address }, signIn, async (code) => {
        if (!WRONG_CREDENTIALS.has(code)) return undefined;
        await store.transaction((tx) => trail.append(tx, refusedSignIn(store, email, address)));
        return new PlatformError("sign_in_failed", { message: "No one signs in with this e-mail address and password." });
      });
      attempts.refund(SIGN_IN_BY_ADDRESS, network);
      attempts.refund(SIGN_IN_BY_EMAIL, addressee);
      await forget();
      return entered;
    },
    signUp: async (given, invitation, address) => {
      const body = check(draft, given, "form");
      attempts.spend(SIGN_UP_BY_ADDRESS, networkOf(address));
      if (invitation === null) checkOpen(policy);
      const passwordHash = await attempts.bounded(() => auth.hashPassword(body.password));
      const visit: Visit = { deed: "sign-up", address, admit: admission(invitation), passwordHash };
      const signUp = () => auth.api.signUpEmail({ body, returnHeaders: true }) as Promise<Entered>;
      // The code alone does not tell a race for the address from a failure of the database.
      return enter(visit, signUp, async () =>
        (await isTaken(body.email))
          ? new PlatformError("sign_up_failed", { message: "Somebody signed up with this e-mail address before." })
          : undefined,
      );
    },
    signOut: async (headers, address) => {
      const visit: Visit = { deed: "sign-out", address };
      const left = await auth.during(visit, () => auth.api.signOut({ headers: cookieOnly(headers), returnHeaders: true }));
      return { cookies: left.headers.getSetCookie() };
    },
    ...linksOf(options, invitations),
  };
}

// As many as the brakes let through; whose address was tried is for the operator alone.
const refusedSignIn = (store: Store, email: string, address: string) => ({
  at: store.clock.now(),
  account: null,
  task: null,
  actors: [],
  token: null,
  action: "person:sign-in" as const,
  resource: "person/unknown",
  outcome: "refused" as const,
  reason: "credentials",
  operatorText: JSON.stringify({ address, email }),
});

const deedOf = (store: Store, person: Person, action: "person:invite" | "person:become-operator") => ({
  at: store.clock.now(),
  account: null,
  task: null,
  actors: [`person/${person.id}`],
  token: null,
  action,
  resource: `person/${person.id}`,
  outcome: "done" as const,
});
