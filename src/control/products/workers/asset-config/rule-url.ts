// URLs as rules name them: a path, or one with https and a host. What the asset service makes of a path is what a URL
// parser makes of it.

const ABSOLUTE = /^https:\/\/+([^/]+)\/?(.*)$/;
// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const CONTROL = /[\u0000-\u001f\u007f]/;

export const isAbsolute = (token: string): boolean => ABSOLUTE.test(token);

export type RuleUrl = { readonly ok: true; readonly url: string } | { readonly ok: false; readonly problem: string };

export type UrlOptions = {
  /** Whether a host may be named. */
  readonly host: boolean;
  readonly port: boolean;
  /** Whether the query and fragment are part of the rule. */
  readonly rest: boolean;
};

function pathOf(path: string, rest: boolean): string | null {
  const rooted = path.startsWith("/") ? path : `/${path}`;
  const url = URL.parse(`//${rooted}`, "relative://");
  if (url === null) return null;
  return rest ? `${url.pathname}${url.search}${url.hash}` : url.pathname;
}

/** Reads one. The problem completes the sentence "the URL … ". */
export function readRuleUrl(token: string, { host, port, rest }: UrlOptions): RuleUrl {
  if (CONTROL.test(token)) return { ok: false, problem: "holds a control character" };
  const [, named, path = ""] = ABSOLUTE.exec(token) ?? [];
  if (named !== undefined) {
    if (!host) return { ok: false, problem: "names a host, where only a path can stand" };
    if (!port && /:\d+$/.test(named)) return { ok: false, problem: "names a port" };
    const parsed = pathOf(path, rest);
    return parsed === null ? { ok: false, problem: "cannot be read" } : { ok: true, url: `https://${named}${parsed}` };
  }
  if (!token.startsWith("/") && host) return { ok: false, problem: 'begins neither with "/" nor with "https://"' };
  const parsed = pathOf(token, rest);
  return parsed === null ? { ok: false, problem: "cannot be read" } : { ok: true, url: parsed };
}

/** Wildcards of a path. */
export const splats = (path: string): number => path.split("*").length - 1;
export const hasPlaceholder = (path: string): boolean => /:[A-Za-z]\w*/.test(path);
