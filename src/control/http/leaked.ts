// Secrets in the address of a request, or in that of the page it came from: whoever keeps addresses has them now. The
// request is refused before anything else looks at it, in the same words whether the secret opened anything or not.
import { PlatformError } from "../../kernel/errors.ts";
import { findSecrets } from "../../kernel/secrets.ts";

/** Ends what can be made anew; hears of every secret that is found. */
export type EndLeaked = (secrets: readonly string[]) => Promise<void>;

/** @param url as it was sent @throws PlatformError token_in_url, link_in_url */
export async function refuseLeaked(url: string, referer: string | null | undefined, end: EndLeaked): Promise<void> {
  const secrets = [...findSecrets(url), ...findSecrets(referer ?? "")];
  if (secrets.length === 0) return;
  await end(secrets);
  if (secrets.some((secret) => secret.startsWith("mft_"))) {
    throw new PlatformError("token_in_url", {
      message: "A token stood in the address of this request, where logs and proxies can read it; if it worked, it was ended just now.",
    });
  }
  if (secrets.some((secret) => secret.startsWith("mfk_"))) {
    throw new PlatformError("token_in_url", {
      message:
        "An operator's key stood in the address of this request, where logs and proxies can read it; if it worked, it was ended just now.",
      next: "Send keys as `Authorization: Bearer <key>` only, and make another at /operations/keys.",
    });
  }
  const claim = secrets.some((secret) => secret.startsWith("mfc_"));
  throw new PlatformError("link_in_url", {
    message: claim
      ? "The secret of a claim link stood before the `#` of this request's address, where logs and proxies can read it."
      : "A secret stood before the `#` of this request's address, where logs and proxies can read it; if it was an invitation or an operator's link that worked, it was ended just now.",
    next: claim
      ? "Open the link exactly as the agent printed it, and claim the account soon: whoever read the address could do so before you."
      : "Ask for a new link, and open it exactly as it was printed. A restart prints a new link for the first operator.",
  });
}
