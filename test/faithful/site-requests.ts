// What is asked of the static files: every path of every site, then what only some sites make interesting.
import { SITES } from "./site.ts";

export type SiteRequest = {
  /** Site, method, path and headers: the case's name. */
  readonly name: string;
  readonly site: string;
  readonly method: string;
  readonly path: string;
  /** `ETAG` in a value stands for the one that this side gave the same path. */
  readonly headers: Readonly<Record<string, string>>;
};

const PAGES = [
  "/",
  "/index",
  "/index/",
  "/index.html",
  "/about",
  "/about/",
  "/about.html",
  "/about.html/",
  "/about?x=1",
  "/about.html?x=1&y=%20",
  "/docs",
  "/docs/",
  "/docs?x=1",
  "/docs/index",
  "/docs/index.html",
  "/docs/guide",
  "/docs/guide/",
  "/docs/guide.html",
  "/docs/deep/page",
  "/docs/deep",
  "/both",
  "/both/",
  "/both.html",
  "/both/index.html",
  "/index/index",
  "/page.html",
  "/page.html/",
  "/page",
  "/double",
  "/double.html",
  "/double.html.html",
  "/404",
  "/404.html",
  "/none",
  "/none/",
  "/none.txt",
  "/docs/none",
  "/docs/deep/none/at/all",
  "/elsewhere/none",
];

const ODD = [
  "/[id]",
  "/%5Bid%5D",
  "/[id].html",
  "/%5bid%5d.html",
  "/a%20b.txt",
  "/a%2520b.txt",
  "/a+b&c=d.txt",
  "/a%2Bb%26c%3Dd.txt",
  "/%C3%A9%F0%9F%A6%8B.txt",
  "/%c3%a9%f0%9f%a6%8b.txt",
  "/100%25.txt",
  "/100%.txt",
  "/%61bout",
  "/%FF.txt",
  "/%00",
  "/ABOUT",
  "/upper.txt",
  "/UPPER.TXT",
  "//about",
  "///about",
  "//away.example/x",
  "/docs//guide",
  "/./about",
  "/docs/../about",
  "/../about",
  "/%2e%2e/about",
  "/docs%2Fguide",
  "/docs/guide%2F",
  "/about%3Fx",
  "/about;x=1",
  "/\\about",
  "/?",
  "/about?",
  "/empty.txt",
  "/noextension",
  "/noextension/",
  "/style.css/",
  "/.hidden",
  "/.well-known/security.txt",
  "/_headers",
  "/_redirects",
  "/.assetsignore",
  "/secret.txt",
  "/app.js.map",
];

const TYPES = [
  "/style.css",
  "/other.json",
  "/app.js",
  "/mod.mjs",
  "/picture.svg",
  "/font.woff2",
  "/code.wasm",
  "/feed.xml",
  "/site.webmanifest",
  "/readme.md",
  "/archive.tar.gz",
  "/odd.unknownextension",
  "/long.txt",
];

const RULES = [
  "/old",
  "/old/",
  "/old?x=1",
  "/old.html",
  "/old-default",
  "/splat/guide",
  "/splat/",
  "/splat",
  "/splat/a/b?x=1",
  "/splat/%20a",
  "/named/one/two",
  "/named/one/x",
  "/named/one/two/three",
  "/rewrite",
  "/rewrite?x=1",
  "/rewrite-splat/guide",
  "/rewrite-splat/none",
  "/rewrite-none",
  "/away",
  "/away?z=2",
  "/away-splat/a/b",
  "/part",
  "/chain",
  "/data.json",
  "/caf%C3%A9",
  "/query?x=1",
  "/end",
  "/end/",
];

type Rest = { readonly method?: string; readonly headers?: Readonly<Record<string, string>> };

const asked = (site: string, path: string, { method = "GET", headers = {} }: Rest = {}): SiteRequest => ({
  name: [site, method, path, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)].join(" "),
  site,
  method,
  path,
  headers,
});

const METHODS = ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
const METHOD_PATHS = ["/about", "/about.html", "/none", "/old", "/rewrite"];

const CONDITIONS: readonly (readonly [path: string, headers: Readonly<Record<string, string>>])[] = [
  ["/about", { "if-none-match": "ETAG" }],
  ["/about", { "if-none-match": "W/ETAG" }],
  ["/about", { "if-none-match": '"other", ETAG' }],
  ["/about", { "if-none-match": '"other"' }],
  ["/about", { "if-none-match": "*" }],
  ["/about", { "if-match": '"other"' }],
  ["/about", { "if-modified-since": "Wed, 21 Oct 2099 07:28:00 GMT" }],
  ["/none", { "if-none-match": "ETAG" }],
  ["/long.txt", { range: "bytes=0-9" }],
  ["/long.txt", { range: "bytes=-5" }],
  ["/long.txt", { range: "bytes=90000-" }],
  ["/long.txt", { range: "bytes=0-1,5-6" }],
  ["/long.txt", { range: "lines=1-2" }],
  ["/long.txt", { range: "bytes=0-9", "if-range": "ETAG" }],
  ["/long.txt", { "accept-encoding": "gzip" }],
  ["/style.css", { accept: "application/json" }],
];

const NAVIGATION = { "sec-fetch-mode": "navigate" };
const NAVIGATED = ["/", "/about", "/none", "/docs/none", "/none.txt", "/api/x", "/api/docs/x", "/old", "/style.css"];

const WORKER_PATHS = [
  "/api",
  "/api/x",
  "/api/docs/x",
  "/API/x",
  "/through?path=/about.html",
  "/through?path=/about",
  "/through?path=/none",
  "/through?path=/old",
  "/through?path=/style.css",
  "/through?path=/a%20b.txt",
  "/asset/none",
];

export function siteRequests(): SiteRequest[] {
  const everywhere = SITES.flatMap(({ name }) => [...PAGES, ...RULES].map((path) => asked(name, path)));
  const odd = ["auto-404", "none-404", "list-worker"].flatMap((site) => ODD.map((path) => asked(site, path)));
  const typed = TYPES.map((path) => asked("auto-404", path));
  const methods = ["auto-404", "drop-spa", "auto-worker", "spa-worker"].flatMap((site) =>
    METHODS.flatMap((method) => METHOD_PATHS.map((path) => asked(site, path, { method }))),
  );
  const conditions = ["auto-404", "first-worker"].flatMap((site) => CONDITIONS.map(([path, headers]) => asked(site, path, { headers })));
  const withWorker = SITES.filter(({ worker }) => worker).flatMap(({ name }) => WORKER_PATHS.map((path) => asked(name, path)));
  const navigated = ["drop-spa", "spa-worker", "list-worker", "auto-worker"].flatMap((site) =>
    NAVIGATED.map((path) => asked(site, path, { headers: NAVIGATION })),
  );
  return [...everywhere, ...odd, ...typed, ...methods, ...conditions, ...withWorker, ...navigated];
}
