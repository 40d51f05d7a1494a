// What a passkey must sign: made for one purpose and one visitor, whose browser keeps it sealed for five minutes,
// and spent by the first answer, right or wrong.
import { z } from "zod";
import { spendChallenge } from "../admission/records.ts";
import { sealedCookie } from "../http/sealed-cookie.ts";
import type { Keys } from "../keys/keys.ts";
import type { Store } from "../store/store.ts";

const CHALLENGE_SECONDS = 300;

/** `person`: who adds; null where a person is yet to be known. */
export type Purpose = { readonly deed: "sign-in" | "add"; readonly person: string | null };

export type PasskeyChallenges = {
  /** The Set-Cookie header that binds the challenge to its visitor. */
  keep(challenge: string, purpose: Purpose): Promise<string>;
  /** The challenge that this visitor got for the purpose, and it is spent; null when there is none, or it is late or was used. */
  take(headers: Headers, purpose: Purpose): Promise<string | null>;
};

const kept = z.strictObject({ challenge: z.string(), deed: z.string(), person: z.string().nullable() });

export function createPasskeyChallenges(options: { readonly store: Store; readonly keys: Keys; readonly url: URL }): PasskeyChallenges {
  const { store, keys, url } = options;
  const { clock } = store;
  const cookie = sealedCookie({ keys, clock, url, name: "mayfly_passkey", path: "/", maxAgeSeconds: CHALLENGE_SECONDS });
  return {
    keep: (challenge, purpose) => cookie.set(JSON.stringify({ challenge, ...purpose })),
    take: async (headers, purpose) => {
      const value = await cookie.read(headers);
      const found = value === null ? undefined : kept.safeParse(JSON.parse(value)).data;
      if (found === undefined || found.deed !== purpose.deed || found.person !== purpose.person) return null;
      const fresh = await spendChallenge(store.db, `passkey ${found.challenge}`, clock.now() + CHALLENGE_SECONDS * 1000);
      return fresh ? found.challenge : null;
    },
  };
}
