// A short-lived value in the browser that only this installation can read or make: encrypted, bound to its name,
// with its end inside. Not for sessions: what it holds cannot be called back.
import { hkdfSync } from "node:crypto";
import { parse } from "hono/utils/cookie";
import { EncryptJWT, jwtDecrypt } from "jose";
import type { Clock } from "../../kernel/clock.ts";
import type { Keys } from "../keys/keys.ts";

export type SealedCookie = {
  /** The Set-Cookie header that stores the value. */
  set(value: string): Promise<string>;
  /** The value that a request brings; null when there is none, or it is forged or late. */
  read(headers: Headers): Promise<string | null>;
};

export type SealedCookieOptions = {
  readonly keys: Keys;
  readonly clock: Clock;
  /** The public origin: on TLS the cookie is Secure, and where its path allows bound to the host alone. */
  readonly url: URL;
  readonly name: string;
  /** The only path that gets it. */
  readonly path: string;
  readonly maxAgeSeconds: number;
};

export function sealedCookie({ keys, clock, url, name, path, maxAgeSeconds }: SealedCookieOptions): SealedCookie {
  const secure = url.protocol === "https:";
  // Only a cookie of every path can be bound to the host by its name; RFC 6265bis §4.1.3.
  const prefix = path === "/" ? "__Host-" : "__Secure-";
  const cookie = secure ? `${prefix}${name}` : name;
  const key = new Uint8Array(hkdfSync("sha256", keys.signing("sign-in"), "", `cookie ${name}`, 32));
  return {
    set: async (value) => {
      const sealed = await new EncryptJWT({ value })
        .setProtectedHeader({ alg: "dir", enc: "A256GCM" })
        .setExpirationTime(Math.floor(clock.now() / 1000) + maxAgeSeconds)
        .encrypt(key);
      return `${cookie}=${sealed}; Max-Age=${maxAgeSeconds}; Path=${path}; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;
    },
    read: async (headers) => {
      const sealed = parse(headers.get("cookie") ?? "", cookie)[cookie];
      if (sealed === undefined) return null;
      try {
        const { payload } = await jwtDecrypt(sealed, key, { currentDate: new Date(clock.now()) });
        return typeof payload["value"] === "string" ? payload["value"] : null;
      } catch {
        return null;
      }
    },
  };
}
