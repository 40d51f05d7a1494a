// A Worker's name is part of its host name, so it must be a DNS label beside the account's own. Service and file
// names are never made of it, which is why `egress`, `kv` or `control` are names like any other.
import { PlatformError } from "../../../kernel/errors.ts";
import type { Subdomain } from "../../../kernel/ids.ts";

const LABEL_MAX = 63;

export const labelOf = (script: string, subdomain: string): string => `${script}--${subdomain}`;

/** A preview's label; null where it is longer than a DNS label may be. @param name a version's digits, or an alias */
export function previewLabelOf(name: string, script: string, subdomain: string): string | null {
  const label = `${name}--${labelOf(script, subdomain)}`;
  return label.length > LABEL_MAX ? null : label;
}

/** Why an alias cannot stand before `--worker--subdomain`, completing "the alias …"; null when it can. */
export function aliasProblem(alias: string, script: string, subdomain: string): string | null {
  const room = LABEL_MAX - 2 - labelOf(script, subdomain).length;
  if (alias.length > room) {
    return `is ${alias.length} characters long; beside "--${labelOf(script, subdomain)}" a host name has room for ${Math.max(0, room)}`;
  }
  if (!/^[a-z0-9-]+$/.test(alias)) return "may hold lower-case letters, digits and hyphens only";
  if (alias.startsWith("-") || alias.endsWith("-")) return "begins or ends with a hyphen";
  if (alias.includes("--")) return `holds "--", which separates the parts of a host name`;
  if (alias.startsWith("xn")) return `begins with "xn", which is kept for internationalised names`;
  if (/^[0-9a-f]{8}$/.test(alias)) return "is 8 hexadecimal digits, as the previews of versions have them";
  return null;
}

function problem(script: string, room: number): string | null {
  if (script.length > room)
    return `is ${script.length} characters long; at most ${room} leave room for the account's part of the host name`;
  if (/[A-Z]/.test(script)) return `has upper-case letters; "${script.toLowerCase().slice(0, room)}" has none`;
  if (script.includes("_")) return `has underscores, which host names cannot hold; use hyphens`;
  if (!/^[a-z0-9-]+$/.test(script)) return "may hold lower-case letters, digits and hyphens only";
  if (script.startsWith("-") || script.endsWith("-")) return "begins or ends with a hyphen";
  if (script.includes("--")) return `holds "--", which separates the parts of a host name`;
  // "xn" alone makes a label that begins with "xn--".
  if (script === "xn" || script.startsWith("xn-")) return `is or begins with "xn-", which is kept for internationalised names`;
  return null;
}

/** @throws PlatformError invalid_upload for a name that cannot be part of a host name */
export function checkScriptName(script: string, subdomain: Subdomain): void {
  const found = problem(script, LABEL_MAX - 2 - subdomain.length);
  if (found === null) return;
  throw new PlatformError("invalid_upload", {
    message: `name: the Worker's name ${JSON.stringify(script.slice(0, 80))} ${found}.`,
    next: "Choose another name and deploy again.",
  });
}
