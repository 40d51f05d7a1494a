// better-auth on our own connection, called as functions and never mounted: no endpoint of its own is reachable.
// Its hooks admit and record: nobody is created, and nobody signs in or out, without an entry in the trail.
import { AsyncLocalStorage } from "node:async_hooks";
import { betterAuth, type BetterAuthPlugin } from "better-auth";
import { APIError, createAuthEndpoint } from "better-auth/api";
import { setSessionCookie } from "better-auth/cookies";
import { hashPassword } from "better-auth/crypto";
import type { Kysely } from "kysely";
import { z } from "zod";
import { PlatformError } from "../../kernel/errors.ts";
import { newId } from "../../kernel/ids.ts";
import type { Log } from "../../kernel/log.ts";
import type { Keys } from "../keys/keys.ts";
import type { Role, Schema } from "../store/schema.ts";
import type { Store, Tx } from "../store/store.ts";
import type { Deed, Trail } from "../trail/trail.ts";

export const PASSWORD_MIN = 8;
export const PASSWORD_MAX = 128;
const SESSION_SECONDS = 7 * 86_400;

/** One call into better-auth, and what its hooks must know of it. */
export type Visit = {
  readonly deed: "sign-up" | "sign-in" | "sign-out";
  /** The caller's address. */
  readonly address: string;
  /** Decides on a sign-up inside its transaction. @throws PlatformError sign_up_closed */
  readonly admit?: (tx: Tx) => Promise<Role>;
  /** By what a person signs in, where it is not the password: `passkey/<id>`. */
  readonly means?: string;
  /** Goes into the transaction that records a sign-in; what it throws keeps the person out. */
  readonly within?: (tx: Tx) => Promise<void>;
  /** Made before the transaction, in which nothing but SQL may be awaited. */
  passwordHash?: string;
  /** The transaction that better-auth has open. */
  tx?: Tx;
  /** Why `admit` or `within` said no; better-auth would hide it. */
  refusal?: PlatformError;
};

export type AuthOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly url: URL;
  readonly log: Log;
};

/** The same Kysely, which also tells the visit of the transaction it opens. */
function announcing(db: Kysely<Schema>, visits: AsyncLocalStorage<Visit>): Kysely<Schema> {
  const begin = () => ({
    execute: <T>(work: (tx: Tx) => Promise<T>): Promise<T> =>
      db.transaction().execute((tx) => {
        const visit = visits.getStore();
        if (visit) visit.tx = tx;
        return work(tx);
      }),
  });
  return new Proxy(db, {
    get: (target, property) => {
      if (property === "transaction") return begin;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

function recorder({ store, trail }: AuthOptions) {
  return async (tx: Tx | undefined, action: Deed, person: string, visit: Visit | undefined, reason?: string): Promise<void> => {
    const append = (tx: Tx): Promise<void> =>
      trail.append(tx, {
        at: store.clock.now(),
        account: null,
        task: null,
        actors: [`person/${person}`],
        token: null,
        action,
        resource: `person/${person}`,
        outcome: "done",
        ...(reason !== undefined && { reason }),
        ...(visit && { operatorText: JSON.stringify({ address: visit.address }) }),
      });
    const whole = async (tx: Tx): Promise<void> => {
      await visit?.within?.(tx);
      await append(tx);
    };
    await (tx ? append(tx) : store.transaction(whole));
  };
}

function hooks(options: AuthOptions, visits: AsyncLocalStorage<Visit>) {
  const record = recorder(options);
  const createPerson = async (draft: Record<string, unknown>) => {
    const visit = visits.getStore();
    if (visit?.tx === undefined || visit.admit === undefined) throw new Error("A person is created by a sign-up and by nothing else");
    try {
      const role = await visit.admit(visit.tx);
      const id = newId();
      await record(visit.tx, "person:sign-up", id, visit, role === "operator" ? "operator" : undefined);
      return { data: { ...draft, id, role } };
    } catch (error) {
      if (!(error instanceof PlatformError)) throw error;
      visit.refusal = error;
      return false;
    }
  };
  return {
    user: { create: { before: createPerson as () => Promise<false | { data: Record<string, unknown> }> } },
    session: {
      create: {
        // After the row and before the cookie leaves: without this entry nobody is signed in.
        after: async (session: { userId: string }) => {
          const visit = visits.getStore();
          if (visit?.deed === "sign-up") return;
          await record(undefined, "person:sign-in", session.userId, visit, visit?.means).catch((error: unknown) => {
            if (visit && error instanceof PlatformError) visit.refusal = error;
            throw error;
          });
        },
      },
      delete: {
        after: async (session: { userId: string; expiresAt: Date }) => {
          const over = session.expiresAt.getTime() <= Date.now();
          await record(undefined, "person:sign-out", session.userId, visits.getStore(), over ? "expired" : undefined);
        },
      },
    },
  };
}

/** The name and attributes that bind the session's cookie to this host, and on TLS to this host alone. */
function cookieOf(url: URL) {
  const secure = url.protocol === "https:";
  return {
    // better-auth's own switch would add `__Secure-` in front of the stronger prefix.
    useSecureCookies: false,
    defaultCookieAttributes: { httpOnly: true, sameSite: "lax" as const, path: "/", secure },
    cookies: { session_token: { name: secure ? "__Host-mayfly_session" : "mayfly_session" } },
  };
}

/** A session for somebody whom a passkey has proven: passkeys.ts verifies, and calls this. */
const sessions = {
  id: "mayfly-sessions",
  endpoints: {
    signInProven: createAuthEndpoint.serverOnly({ method: "POST", body: z.object({ userId: z.string() }) }, async (context) => {
      const { internalAdapter } = context.context;
      const user = await internalAdapter.findUserById(context.body.userId);
      if (!user) throw new APIError("UNAUTHORIZED");
      const session = await internalAdapter.createSession(user.id);
      await setSessionCookie(context, { session, user });
      return context.json({ user });
    }),
  },
} satisfies BetterAuthPlugin;

export function createAuth(options: AuthOptions) {
  const { store, keys, url, log } = options;
  const visits = new AsyncLocalStorage<Visit>();
  const secret = Buffer.from(keys.signing("sign-in")).toString("hex");
  const auth = betterAuth({
    appName: "Mayfly",
    baseURL: url.origin,
    // As a list: an environment variable of better-auth's would override a single secret.
    secrets: [{ version: 1, value: secret }],
    database: { db: announcing(store.db, visits), type: store.kind, transaction: true },
    telemetry: { enabled: false },
    user: { modelName: "person", additionalFields: { role: { type: "string", required: false, input: false } } },
    session: {
      modelName: "person_session",
      expiresIn: SESSION_SECONDS,
      disableSessionRefresh: true,
      cookieCache: { enabled: false },
    },
    account: { modelName: "person_credential" },
    verification: { modelName: "person_verification" },
    emailAndPassword: {
      enabled: true,
      minPasswordLength: PASSWORD_MIN,
      maxPasswordLength: PASSWORD_MAX,
      password: { hash: async (password) => visits.getStore()?.passwordHash ?? (await hashPassword(password)) },
    },
    advanced: { ...cookieOf(url), database: { generateId: () => newId() }, ipAddress: { disableIpTracking: true } },
    databaseHooks: hooks(options, visits),
    plugins: [sessions],
    // Its messages name e-mail addresses; errors reach our own log without their arguments.
    logger: { level: "error", log: (_level, message) => log.error({ from: "better-auth" }, message.slice(0, 200)) },
  });
  return {
    api: auth.api,
    /** Runs a call of `api` for the visit. */
    during: <T>(visit: Visit, call: () => Promise<T>): Promise<T> => visits.run(visit, call),
    hashPassword,
  };
}

export type Auth = ReturnType<typeof createAuth>;
