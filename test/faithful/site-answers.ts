// Static files as one side answers them: status, the headers that are about the file, and the body.
import { createHash } from "node:crypto";
import { ask } from "./ask.ts";
import type { Side, SideAnswer } from "./sides.ts";
import type { SiteRequest } from "./site-requests.ts";

/** Headers that tell of the file; Date, Connection and what a proxy adds tell of the way, and Accept-Ranges, which
 * stands here at every file and there at none, is told in docs/compatibility.md once. */
const COMPARED = ["location", "content-type", "content-range", "content-encoding", "cache-control", "allow", "vary"];
const SHOWN_BYTES = 200;

function told(answer: SideAnswer, origin: string): string {
  const names = [...COMPARED, ...Object.keys(answer.headers).filter((name) => name.startsWith("x-") && !name.startsWith("x-mf-"))];
  const headers = names.flatMap((name) => (answer.headers[name] === undefined ? [] : [`${name}: ${String(answer.headers[name])}`]));
  // An entity tag is made otherwise on each side; that there is one, and of which kind, is the same.
  const tag = answer.headers["etag"];
  if (typeof tag === "string") headers.push(`etag: ${tag.startsWith("W/") ? "weak" : "strong"}`);
  const { body } = answer;
  const sum = createHash("sha256").update(body).digest("hex").slice(0, 12);
  const text = body.length > SHOWN_BYTES ? `${body.length} bytes, ${sum}` : body.toString();
  return [String(answer.status), ...headers.toSorted(), text].join(" | ").replaceAll(origin, "ORIGIN");
}

export async function siteAnswersOf(side: Side, requests: readonly SiteRequest[]): Promise<Map<string, string>> {
  const answers = new Map<string, string>();
  for (const { name, site, method, path, headers } of requests) {
    const values = Object.entries(headers);
    const tag = values.some(([, value]) => value.includes("ETAG")) ? (await ask(side, site, path)).headers["etag"] : "";
    const sent = values.map(([header, value]) => [header, value.replaceAll("ETAG", String(tag ?? '"none"'))]);
    const answer = await ask(side, site, path, { method, headers: Object.fromEntries(sent) as Record<string, string> });
    answers.set(name, told(answer, `http://${side.placeOf(site).host}`));
  }
  return answers;
}
