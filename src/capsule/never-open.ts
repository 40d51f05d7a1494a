// Ports that no Worker reaches, whatever an operator opens: mail's, since one stranger who sends spam takes the good name
// of the whole address away, and those that nobody offers to strangers but worms and scanners live from.

export const MAIL_PORTS: ReadonlySet<number> = new Set([25, 465, 587, 2525]);

/** Telnet, and the file sharing of Windows. */
const WORM_PORTS: ReadonlySet<number> = new Set([23, 135, 137, 138, 139, 445]);

/** Why a port stays closed, or null where it is for the operator to say. */
export function neverOpen(port: number): string | null {
  if (MAIL_PORTS.has(port)) return "mail is never sent from here";
  return WORM_PORTS.has(port) ? `port ${port} is never open to Workers` : null;
}
