// The two capabilities of an upload: one to send the files of a session, one that says all of them arrived. Each
// is for one purpose, one session of one Worker in one account at one epoch, lives no longer than an hour, and is worth
// nothing once the token that asked for it has ended.
import { jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import { PlatformError } from "../../../kernel/errors.ts";
import { ACCOUNT_ID, type AccountId } from "../../../kernel/ids.ts";
import type { Clock } from "../../../kernel/clock.ts";

export const SESSION_SECONDS = 3600;

type Purpose = "assets-upload" | "assets-complete";
export type Capability = {
  readonly session: string;
  readonly account: AccountId;
  readonly script: string;
  readonly epoch: number;
  /** Id of the token that opened the session. */
  readonly token: string;
};

const claims = z.object({
  session: z.string(),
  account: z
    .string()
    .regex(ACCOUNT_ID)
    .transform((id) => id as AccountId),
  script: z.string(),
  epoch: z.number().int(),
  token: z.string(),
});

const refused = (message: string): PlatformError => new PlatformError("asset_session_invalid", { message });

export type UploadTokens = {
  sign(purpose: Purpose, capability: Capability, expiresAtMs: number): Promise<string>;
  /** @throws PlatformError asset_session_invalid */
  verify(purpose: Purpose, token: string): Promise<Capability>;
};

/** Three parts, as clients read `exp` out of the middle one. Source: RFC 7519. */
export function openUploadTokens(key: Uint8Array, clock: Clock): UploadTokens {
  return {
    sign: (purpose, capability, expiresAtMs) =>
      new SignJWT({ ...capability })
        .setProtectedHeader({ alg: "HS256", typ: "JWT" })
        .setAudience(purpose)
        .setIssuedAt(Math.floor(clock.now() / 1000))
        .setExpirationTime(Math.floor(expiresAtMs / 1000))
        .sign(key),
    verify: async (purpose, token) => {
      let payload: unknown;
      try {
        const options = { algorithms: ["HS256"], audience: purpose, currentDate: new Date(clock.now()) };
        payload = (await jwtVerify(token, key, options)).payload;
      } catch {
        throw refused(
          purpose === "assets-upload"
            ? "The token is not that of an upload session that is still open."
            : "metadata.assets.jwt: is not the token of a completed upload, or is too old.",
        );
      }
      const parsed = claims.safeParse(payload);
      if (!parsed.success) throw refused("The token lacks what an upload session's token holds.");
      return parsed.data;
    },
  };
}
