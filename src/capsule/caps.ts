// What an account may use within ten minutes, over all of its Workers together. Control says how much, host counts and
// refuses; a window opens with the first use and everything frees at its end.
import { z } from "zod";

export const CAPS = ["requests", "cpu_ms", "served_bytes", "subrequests", "egress_bytes", "egress_hosts", "log_bytes"] as const;
export type Cap = (typeof CAPS)[number];

/** Everything that stops an account at a bound: the caps, and its disk, which frees by what is deleted alone. */
export const CAPPED = [...CAPS, "disk_bytes"] as const;
export type Capped = (typeof CAPPED)[number];

export const CAP_WINDOW_MS = 600_000;

const amount = z.number().int().nonnegative();

/** 0: no cap. */
export const caps = z.object({
  /** From callers, through the edge. */
  requests: amount,
  /** Milliseconds of the process's CPU time. */
  cpu_ms: amount,
  /** Bytes of answers to callers. */
  served_bytes: amount,
  /** Requests and connections of its Workers through the egress, those to Workers of this installation included. */
  subrequests: amount,
  /** Bytes in both directions between its Workers and the outside. */
  egress_bytes: amount,
  /** Distinct hosts outside. */
  egress_hosts: amount,
  /** Bytes of log records. */
  log_bytes: amount,
} satisfies Record<Cap, z.ZodType>);
export type Caps = z.infer<typeof caps>;

export const NO_CAPS: Caps = {
  requests: 0,
  cpu_ms: 0,
  served_bytes: 0,
  subrequests: 0,
  egress_bytes: 0,
  egress_hosts: 0,
  log_bytes: 0,
};

export const capUse = z.object({
  cap: z.enum(CAPS),
  used: z.number(),
  /** How often it was the reason of a refusal, in this window. */
  refused: z.number().int(),
  /** When the window ends; null while none is open. */
  freesAtMs: z.number().nullable(),
});
export type CapUse = z.infer<typeof capUse>;
