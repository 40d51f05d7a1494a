// Configuration of static assets as workerd's own asset service reads it: JSON in which the texts of _headers and
// _redirects travel along. It is checked by then: a value that the service does not know would stop the process.
import { invalidUpload, type SentAssetsConfig } from "./contract.ts";

/** JSON for the process; keys in a fixed order, so that equal configurations compare equal. */
export function assetServiceConfig(sent: SentAssetsConfig): string {
  if (sent.base_path) {
    throw invalidUpload("metadata.assets.config.base_path: is not there yet.", "Remove it and put the files in a directory of that name.");
  }
  return JSON.stringify({
    html_handling: sent.html_handling ?? "auto-trailing-slash",
    not_found_handling: sent.not_found_handling ?? "none",
    ...(sent.run_worker_first !== undefined && sent.run_worker_first !== null && { run_worker_first: sent.run_worker_first }),
    ...(sent._headers && { headers: sent._headers }),
    ...(sent._redirects && { redirects: sent._redirects }),
  });
}
