// What control asks of the services inside an account's process: a request to one of them, or a schedule's turn.
// What comes back is the process's word, which may have been taken over: whoever reads it checks and bounds it.
import type { Readable } from "node:stream";
import { z } from "zod";
import { accountId } from "./spec.ts";

const service = z.string().regex(/^[a-z][a-z0-9-]{0,79}$/);

/** A request to a service of the account's process, which is started for it. */
export const capsuleCall = z.object({
  account: accountId,
  service,
  entrypoint: z.string().regex(/^\w+$/).nullable(),
  /** JSON object: what a binding would give as `ctx.props`. */
  props: z.string(),
  method: z.enum(["GET", "POST", "PUT", "DELETE"]),
  /** With the query; the service sees it behind `http://call`. */
  path: z.string().startsWith("/"),
  /** Lower-case names. */
  headers: z.record(z.string(), z.string()),
});
export type CapsuleCall = z.infer<typeof capsuleCall>;

export const answerHead = z.object({ status: z.number().int().min(100).max(599), headers: z.record(z.string(), z.string()) });

/** The service's answer; the body must be read or destroyed. */
export type CapsuleAnswer = z.infer<typeof answerHead> & { readonly body: Readable };

/** A cron trigger that is due. */
export const scheduledCall = z.object({ account: accountId, service, cron: z.string(), scheduledTimeMs: z.number().int() });
export type ScheduledCall = z.infer<typeof scheduledCall>;

/**
 * `ok`, or what went wrong in the runtime's word. Of ours: `absent` where the process has no such service, so that nothing
 * ran, and `lost` where it went away before it told how the handler ended.
 */
export const scheduledOutcome = z.object({ outcome: z.string() });
export type ScheduledOutcome = z.infer<typeof scheduledOutcome>;
