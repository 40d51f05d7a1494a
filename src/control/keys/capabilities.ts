// What stands in for a token where none can be sent: signed, for one purpose, of short life. Whoever takes one in still
// asks whether its account, epoch and token stand.
import { jwtVerify, SignJWT } from "jose";
import type { z } from "zod";
import type { Clock } from "../../kernel/clock.ts";

export type Capabilities<Claims> = {
  sign(claims: Claims, expiresAtMs: number): Promise<string>;
  /** Null for anything but a capability of this purpose that is not late yet. */
  verify(text: string): Promise<Claims | null>;
};

/** Three parts, as some clients read `exp` out of the middle one. Source: RFC 7519. @param key of `keys.signing` */
export function openCapabilities<S extends z.ZodType<Record<string, unknown>>>(
  key: Uint8Array,
  clock: Clock,
  purpose: string,
  claims: S,
): Capabilities<z.output<S>> {
  return {
    sign: (held, expiresAtMs) =>
      new SignJWT({ ...held })
        .setProtectedHeader({ alg: "HS256", typ: "JWT" })
        .setAudience(purpose)
        .setIssuedAt(Math.floor(clock.now() / 1000))
        .setExpirationTime(Math.floor(expiresAtMs / 1000))
        .sign(key),
    verify: async (text) => {
      try {
        const options = { algorithms: ["HS256"], audience: purpose, currentDate: new Date(clock.now()) };
        return claims.parse((await jwtVerify(text, key, options)).payload);
      } catch {
        return null;
      }
    },
  };
}
