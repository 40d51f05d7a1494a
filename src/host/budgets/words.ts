// Caps in words for whoever is refused.
import { CAP_WINDOW_MS, type Cap } from "../../capsule/caps.ts";

const MINUTES = CAP_WINDOW_MS / 60_000;
const MIB = 1_048_576;

/** Of an amount that may be less than one of them. */
const mib = (bytes: number): string => (bytes < MIB ? `${bytes} bytes` : `${Math.round(bytes / MIB)} MiB`);

const WHAT: Record<Cap, (most: number) => string> = {
  requests: (most) => `${most} requests`,
  cpu_ms: (most) => `${most / 1_000} s of CPU time`,
  served_bytes: (most) => `${mib(most)} of answers`,
  subrequests: (most) => `${most} requests to other hosts`,
  egress_bytes: (most) => `${mib(most)} to and from other hosts`,
  egress_hosts: (most) => `${most} different hosts`,
  log_bytes: (most) => `${mib(most)} of log`,
};

export const reasonOf = (cap: Cap, most: number): string => `This account has used its ${WHAT[cap](most)} in ${MINUTES} minutes.`;

export const diskReason = (most: number): string => `This account keeps more than the ${mib(most)} that it may have on disk.`;
