// Configuration of static assets as workerd's own asset service reads it: JSON in which the texts of _headers and
// _redirects travel along. What it would not start with stops the account's process, and what it would skip its owner would
// never hear of: both are refused here, with file and line.
import type { AssetFile } from "../../product.ts";
import type { SentAssetsConfig } from "../contract.ts";
import { checkHeaders } from "./headers.ts";
import { Problems } from "./problems.ts";
import { checkRedirects } from "./redirects.ts";
import { checkBasePath, checkPatterns } from "./routing.ts";
import { withTypes } from "./types.ts";

function headersOf(text: string, files: readonly AssetFile[]): string {
  const problems = new Problems("_headers");
  const rules = checkHeaders(text, problems);
  const error = problems.error();
  if (error !== null) throw error;
  return withTypes(files, text, rules);
}

function redirectsOf(text: string, htmlHandling: boolean): string {
  const problems = new Problems("_redirects");
  checkRedirects(text, htmlHandling, problems);
  const error = problems.error();
  if (error !== null) throw error;
  return text;
}

/**
 * JSON for the process; keys in a fixed order, so that equal configurations compare equal.
 * @param files that it is for @throws PlatformError invalid_upload
 */
export function assetServiceConfig(sent: SentAssetsConfig, files: readonly AssetFile[]): string {
  const { run_worker_first: workerFirst, base_path: base } = sent;
  const htmlHandling = sent.html_handling ?? "auto-trailing-slash";
  if (Array.isArray(workerFirst)) checkPatterns(workerFirst);
  const headers = headersOf(sent._headers ?? "", files);
  const redirects = redirectsOf(sent._redirects ?? "", htmlHandling !== "none");
  return JSON.stringify({
    html_handling: htmlHandling,
    not_found_handling: sent.not_found_handling ?? "none",
    ...(workerFirst !== undefined && workerFirst !== null && { run_worker_first: workerFirst }),
    ...(base !== undefined && base !== null && { base_path: checkBasePath(base) }),
    ...(headers !== "" && { headers }),
    ...(redirects !== "" && { redirects }),
  });
}
