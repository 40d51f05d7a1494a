// What stands in a tail's address instead of a token, since wrangler sends none there: one purpose, one tail of one
// account, for the minute in which it is to be used, once. The tail itself knows the epoch of its token, and the guard asks.
import { z } from "zod";
import type { Clock } from "../../kernel/clock.ts";
import { PlatformError } from "../../kernel/errors.ts";
import { openCapabilities } from "../keys/capabilities.ts";

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
  const capabilities = openCapabilities(key, clock, "tail", claims);
  return {
    sign: (capability) => capabilities.sign(capability, (Math.ceil(clock.now() / 1000) + CONNECT_WITHIN_SECONDS) * 1000),
    verify: async (text) => {
      const capability = await capabilities.verify(text);
      if (capability) return capability;
      throw tailRefused();
    },
  };
}
