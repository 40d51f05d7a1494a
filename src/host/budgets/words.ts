// Caps in words for whoever is refused.
import { CAP_WINDOW_MS, type Cap } from "../../capsule/caps.ts";

const MINUTES = CAP_WINDOW_MS / 60_000;
const MIB = 1_048_576;

const WHAT: Record<Cap, (most: number) => string> = {
  requests: (most) => `${most} requests`,
  cpu_ms: (most) => `${most / 1_000} s of CPU time`,
  served_bytes: (most) => `${Math.round(most / MIB)} MiB of answers`,
  subrequests: (most) => `${most} requests of its Workers to other hosts`,
  egress_bytes: (most) => `${Math.round(most / MIB)} MiB between its Workers and other hosts`,
  egress_hosts: (most) => `${most} different hosts that its Workers may reach`,
  log_bytes: (most) => `${Math.round(most / MIB)} MiB of log`,
};

export const reasonOf = (cap: Cap, most: number): string => `This account has used its ${WHAT[cap](most)} in ${MINUTES} minutes.`;
