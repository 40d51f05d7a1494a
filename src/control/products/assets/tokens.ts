// The two capabilities of an upload: one to send the files of a session, one that says all of them arrived. Each
// is for one purpose, one session of one Worker in one account at one epoch, lives no longer than an hour, and is worth
// nothing once the token that asked for it has ended.
import { z } from "zod";
import { PlatformError } from "../../../kernel/errors.ts";
import { ACCOUNT_ID, type AccountId } from "../../../kernel/ids.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { openCapabilities } from "../../keys/capabilities.ts";

export const SESSION_SECONDS = 3600;

type Purpose = "assets-upload" | "assets-complete";

const claims = z.object({
  session: z.string(),
  account: z
    .string()
    .regex(ACCOUNT_ID)
    .transform((id) => id as AccountId),
  script: z.string(),
  epoch: z.number().int(),
  /** Id of the token that opened the session. */
  token: z.string(),
});
export type Capability = z.infer<typeof claims>;

const REFUSALS: Readonly<Record<Purpose, string>> = {
  "assets-upload": "The token is not that of an upload session that is still open.",
  "assets-complete": "metadata.assets.jwt: is not the token of a completed upload, or is too old.",
};

export type UploadTokens = {
  sign(purpose: Purpose, capability: Capability, expiresAtMs: number): Promise<string>;
  /** @throws PlatformError asset_session_invalid */
  verify(purpose: Purpose, token: string): Promise<Capability>;
};

export function openUploadTokens(key: Uint8Array, clock: Clock): UploadTokens {
  const of = {
    "assets-upload": openCapabilities(key, clock, "assets-upload", claims),
    "assets-complete": openCapabilities(key, clock, "assets-complete", claims),
  };
  return {
    sign: (purpose, capability, expiresAtMs) => of[purpose].sign(capability, expiresAtMs),
    verify: async (purpose, token) => {
      const capability = await of[purpose].verify(token);
      if (capability) return capability;
      throw new PlatformError("asset_session_invalid", { message: REFUSALS[purpose] });
    },
  };
}
