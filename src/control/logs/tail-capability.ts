// What stands in a tail's address instead of a token, since wrangler sends none there: one purpose, one tail of one
// account, for the minute in which it is to be used, once. The tail itself knows the epoch of its token, and the guard asks.
import { jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import type { Clock } from "../../kernel/clock.ts";
import { PlatformError } from "../../kernel/errors.ts";

const PURPOSE = "tail";
export const CONNECT_WITHIN_SECONDS = 60;

const claims = z.object({ tail: z.string(), account: z.string() });
export type TailCapability = z.infer<typeof claims>;

export const tailRefused = (): PlatformError =>
  new PlatformError("tail_invalid", {
    message: `This is not the address of a tail that waits to be opened: each works once, within ${CONNECT_WITHIN_SECONDS} seconds, while its account and token stand.`,
  });

export type TailCapabilities = {
  sign(capability: TailCapability): Promise<string>;
  /** @throws PlatformError tail_invalid */
  verify(text: string): Promise<TailCapability>;
};

export function openTailCapabilities(key: Uint8Array, clock: Clock): TailCapabilities {
  return {
    sign: (capability) =>
      new SignJWT({ ...capability })
        .setProtectedHeader({ alg: "HS256", typ: "JWT" })
        .setAudience(PURPOSE)
        .setExpirationTime(Math.ceil(clock.now() / 1000) + CONNECT_WITHIN_SECONDS)
        .sign(key),
    verify: async (text) => {
      try {
        const options = { algorithms: ["HS256"], audience: PURPOSE, currentDate: new Date(clock.now()) };
        return claims.parse((await jwtVerify(text, key, options)).payload);
      } catch {
        throw tailRefused();
      }
    },
  };
}
