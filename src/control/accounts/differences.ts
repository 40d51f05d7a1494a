// How this place differs from Cloudflare's production, for an agent that decides what to build and what to tell its
// person. Facts that change what a Worker does or may rely on, nothing else.

export type Difference = { readonly what: string; readonly here: string; readonly production: string };

export const DIFFERENCES: readonly Difference[] = [
  { what: "places", here: "one machine; request.cf is made up", production: "hundreds of places, a request is served near its caller" },
  {
    what: "kv_consistency",
    here: "a write is read at once, everywhere in the account",
    production: "a write may take 60 seconds or more to be read elsewhere",
  },
  {
    what: "d1_time_travel",
    here: "to bookmarks taken before each migration, import and restore, every five minutes of writing and when the account falls idle",
    production: "to any minute of the last 30 days",
  },
  {
    what: "cron_triggers",
    here: "at most once for each occurrence, within a second of its minute; after a downtime once for all that was missed",
    production: "at least once, rarely twice; a change takes up to 15 minutes; what was missed is skipped",
  },
  {
    what: "outbound_connections",
    here: "fetch() and connect() reach public addresses alone, of a temporary account on ports 80 and 443 (or those that the operator opens), of a claimed one on all but mail's and a few more; beyond so many at once they are refused, none waits",
    production: "any port but 25; private origins by tunnels; six connections of a request at once, others wait",
  },
  {
    what: "cpu_time",
    here: "no cap for each request; a process that hangs is restarted, and suspended where it goes on",
    production: "10 ms (free) or up to 5 minutes for each request",
  },
  {
    what: "memory",
    here: "one cap for all Workers of the account together, in one process",
    production: "128 MB for each isolate",
  },
  {
    what: "redeploy",
    here: "restarts the account's process: WebSockets close, objects start anew",
    production: "requests in flight go on with the former version",
  },
  {
    what: "bindings",
    here: "AI, R2, queues, Workflows, Hyperdrive, Vectorize, Browser Run and others are refused by name, with what to use instead",
    production: "all of them",
  },
  {
    what: "kept_settings",
    here: "placement, limits, logpush and tail_consumers are kept and answered; nothing acts on them",
    production: "they act",
  },
];
