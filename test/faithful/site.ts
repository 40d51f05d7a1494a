// Static files as they are deployed to both sides: one tree of files, and the Workers that serve it, each with another configuration.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const HEADERS = `# a comment
/*
  X-Everywhere: yes
  X-Taken: away

/style.css
  Cache-Control: public, max-age=60
  ! X-Everywhere

/docs/*
  X-Splat: <:splat>

/named/:who/x
  X-Who: :who

/about
  X-Twice: a
  X-Twice: b
  Content-Type: text/plain

/*.json
  X-Json: :splat

https://elsewhere.example/*
  X-Elsewhere: yes
`;

const REDIRECTS = `# a comment
/old /about 301
/old-default /docs/
/splat/* /docs/:splat 302
/named/:a/:b /docs/:b?from=:a 307
/rewrite /about 200
/rewrite-splat/* /docs/:splat 200
/rewrite-none /nothing-here 200
/away https://away.example/x?y=1 308
/away-splat/* https://away.example/:splat 303
/part /about#part 302
/chain /old 301
/data.json /about 301
/caf%C3%A9 /about 302
/query /about?own=1 302
/end/ /about 302
`;

/** Path → content. What stands in .assetsignore is left out by wrangler and by Miniflare. */
const FILES: Readonly<Record<string, string>> = {
  _headers: HEADERS,
  _redirects: REDIRECTS,
  ".assetsignore": "secret.txt\n*.map\n",
  "secret.txt": "secret",
  "app.js.map": "{}",
  "index.html": "<h1>home</h1>",
  "404.html": "<h1>not here</h1>",
  "about.html": "<h1>about</h1>",
  "both.html": "<h1>both, the file</h1>",
  "both/index.html": "<h1>both, the folder</h1>",
  "docs/index.html": "<h1>docs</h1>",
  "docs/404.html": "<h1>not in the docs</h1>",
  "docs/guide.html": "<h1>guide</h1>",
  "docs/deep/page.html": "<h1>deep</h1>",
  "index/index.html": "<h1>index of index</h1>",
  "page.html/index.html": "<h1>a folder like a file</h1>",
  "double.html.html": "<h1>double</h1>",
  "[id].html": "<h1>brackets</h1>",
  "style.css": "body { color: green }",
  "data.json": '{"a":1}',
  "other.json": '{"b":2}',
  "app.js": "export default 1;",
  "mod.mjs": "export default 2;",
  "picture.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
  "font.woff2": "not a font",
  "code.wasm": "not wasm",
  "feed.xml": "<feed/>",
  "site.webmanifest": "{}",
  "readme.md": "# readme",
  "archive.tar.gz": "not an archive",
  "odd.unknownextension": "what am I",
  noextension: "no extension",
  "empty.txt": "",
  "UPPER.TXT": "upper",
  "a b.txt": "a space",
  "é🦋.txt": "beyond ASCII",
  "a+b&c=d.txt": "signs",
  "old.html": "<h1>behind a redirect</h1>",
  ".hidden": "hidden",
  ".well-known/security.txt": "Contact: nobody",
  "long.txt": "0123456789".repeat(5000),
};

export const SITE_WORKER = `export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/through") return env.ASSETS.fetch(new URL(url.searchParams.get("path"), "https://assets.local"));
    if (url.pathname.startsWith("/asset/")) return env.ASSETS.fetch(request);
    return new Response("the Worker: " + request.method + " " + url.pathname + url.search, { headers: { "x-worker": "yes" } });
  },
};`;

type HtmlHandling = "auto-trailing-slash" | "force-trailing-slash" | "drop-trailing-slash" | "none";
type NotFoundHandling = "none" | "404-page" | "single-page-application";

export type Site = {
  readonly name: string;
  readonly html: HtmlHandling;
  readonly notFound: NotFoundHandling;
  /** With a Worker of its own, and what goes to that first. */
  readonly worker?: { readonly first: boolean | readonly string[] };
};

export const SITES: readonly Site[] = [
  { name: "auto-404", html: "auto-trailing-slash", notFound: "404-page" },
  { name: "force-none", html: "force-trailing-slash", notFound: "none" },
  { name: "drop-spa", html: "drop-trailing-slash", notFound: "single-page-application" },
  { name: "none-404", html: "none", notFound: "404-page" },
  { name: "auto-worker", html: "auto-trailing-slash", notFound: "none", worker: { first: false } },
  { name: "spa-worker", html: "auto-trailing-slash", notFound: "single-page-application", worker: { first: false } },
  { name: "first-worker", html: "auto-trailing-slash", notFound: "404-page", worker: { first: true } },
  {
    name: "list-worker",
    html: "drop-trailing-slash",
    notFound: "single-page-application",
    worker: { first: ["/api/*", "!/api/docs/*", "/about", "/docs/g*", "/through"] },
  },
];

export function writeSite(directory: string): void {
  for (const [path, content] of Object.entries(FILES)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  }
}
