// Types of binding that clients know and this installation has not: what each is, and what does the work here instead.
// A type that a product gives is never looked up here.
import { nearest } from "./nearest.ts";

type Unavailable = {
  /** As its owner calls it. */
  readonly what: string;
  readonly instead: string;
};

const SEARCH = "Full-text search is in D1 (FTS5); for vectors, fetch() the HTTP API of a vector database";
const PRIVATE_ORIGIN = "Reach the origin by fetch() at a public HTTPS address, with a credential of its own in a header";

const UNAVAILABLE: ReadonlyMap<string, Unavailable> = new Map(
  Object.entries({
    ai: { what: "Workers AI", instead: "Call a model by fetch() at its provider's HTTP API, with the key as a secret" },
    vectorize: {
      what: "a Vectorize index",
      instead: "fetch() the HTTP API of a vector database, or keep few vectors in D1 and compare them",
    },
    browser: { what: "Browser Run", instead: "fetch() the page and read it with HTMLRewriter, or fetch() a browser service over HTTPS" },
    images: {
      what: "Images",
      instead: "Resize images before the deploy and serve them as static assets, or bring a codec as a wasm module",
    },
    stream: { what: "Stream", instead: "Serve short videos as static assets, or link to a video host" },
    media: { what: "Media transformations", instead: "Transform media before the deploy and serve them as static assets" },
    containers: { what: "a container", instead: "Run what it does as a Worker, or fetch() it where it runs" },
    workflow: { what: "a Workflow", instead: "Let a Durable Object take the steps in its alarm(), each written down in its storage" },
    hyperdrive: {
      what: "a Hyperdrive configuration",
      instead:
        "Use D1, or a database with an HTTP API by fetch(): connect() to the port of one is refused until a person claims the account",
    },
    queue: {
      what: "a queue",
      instead:
        "Keep the jobs in a Durable Object or in D1 and do them in its alarm() or by a cron trigger; ctx.waitUntil() for work that may be lost",
    },
    r2_bucket: {
      what: "an R2 bucket",
      instead: "KV holds values up to 25 MiB; files that come with the deploy are static assets",
    },
    send_email: { what: "Send Email", instead: "fetch() the HTTP API of a mail service, with the key as a secret" },
    mtls_certificate: { what: "a client certificate", instead: PRIVATE_ORIGIN },
    dispatch_namespace: {
      what: "a dispatch namespace",
      instead: "Deploy the Workers to this account and bind each as a service",
    },
    pipelines: { what: "a Pipeline", instead: "Write data points to an Analytics Engine dataset, or rows to D1" },
    vpc_service: { what: "a VPC service", instead: PRIVATE_ORIGIN },
    vpc_network: { what: "a VPC network", instead: PRIVATE_ORIGIN },
    worker_loader: { what: "a Worker loader", instead: "Deploy the code as a Worker of its own and bind it as a service" },
    ai_search: { what: "AI Search", instead: SEARCH },
    ai_search_namespace: { what: "a namespace of AI Search", instead: SEARCH },
    websearch: { what: "Web Search", instead: "fetch() the HTTP API of a search engine, with the key as a secret" },
    agent_memory: { what: "Agent Memory", instead: "Keep what is to be remembered in a Durable Object, D1 or KV" },
    artifacts: { what: "Artifacts", instead: "Keep files in KV, or fetch() a Git host over HTTPS" },
    flagship: { what: "Flagship", instead: "Keep flags as variables, or in KV where they change without a deploy" },
    k2: { what: "K2", instead: "Keep the data in KV, D1 or a Durable Object" },
    logfwdr: { what: "log forwarding", instead: "console.log() and GET /accounts/{id}/logs, or wrangler tail" },
  }),
);

const HINT = "remove the binding and deploy again; README.md lists the products that work.";

/**
 * What is said of a binding of such a type.
 * @param name the binding's, quoted
 * @param known types that there are
 */
export function unavailable(type: string, name: string, known: Iterable<string>): { readonly message: string; readonly next: string } {
  const lacking = `bindings: ${name} is of type ${JSON.stringify(type.slice(0, 80))}, which this installation does not have yet`;
  const found = UNAVAILABLE.get(type);
  if (found) return { message: `${lacking} (${found.what}).`, next: `${found.instead}; then ${HINT}` };
  if (type.startsWith("unsafe_"))
    return { message: `${lacking} (experimental, or Cloudflare's own).`, next: `Nothing stands in for it: ${HINT}` };
  const meant = nearest(type, known);
  return {
    message: `${lacking}.`,
    next: meant === undefined ? `If you can, ${HINT}` : `Did you mean ${JSON.stringify(meant)}? Else ${HINT}`,
  };
}
