// Pages by number, as every list of the v4 API offers them. A page past the end is empty, never an error:
// one client asks for pages until it gets an empty one.
import { z } from "zod";
import type { ResultInfo } from "./envelope.ts";
import { check } from "./body.ts";

const query = z.object({
  page: z.coerce.number().int().min(1).max(1_000_000).default(1),
  per_page: z.coerce.number().int().min(1).max(1000).default(20),
});

export type Page = { readonly page: number; readonly perPage: number; readonly offset: number };

/** @throws PlatformError invalid_input */
export function pageOf(url: URL): Page {
  const { page, per_page } = check(query, Object.fromEntries(url.searchParams), "query");
  return { page, perPage: per_page, offset: (page - 1) * per_page };
}

/** @param count rows on this page @param total rows in all */
export function pageInfo(page: Page, count: number, total: number): ResultInfo {
  return { page: page.page, per_page: page.perPage, count, total_count: total, total_pages: Math.ceil(total / page.perPage) };
}
