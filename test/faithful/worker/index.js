// The one Worker that runs unchanged on both sides: `/run/<product>/<case>?run=<mark>` answers what the case answered,
// `/cases` which there are, `/socket/<name>` opens a socket to that lobby. Each case builds on keys, tables and objects named by `at`, which holds the run's mark.
import { d1 } from "./cases/d1.js";
import { d1Errors } from "./cases/d1-errors.js";
import { d1Sql } from "./cases/d1-sql.js";
import { kv } from "./cases/kv.js";
import { kvErrors } from "./cases/kv-errors.js";
import { objects } from "./cases/objects.js";
import { objectCalls } from "./cases/object-calls.js";
import { objectErrors } from "./cases/object-errors.js";
import { objectSockets } from "./cases/object-sockets.js";
import { show, tell } from "./show.js";

export { Chamber, Notes, Ledger, Bell, Lobby } from "./objects.js";

const LISTS = {
  kv: { ...kv, ...kvErrors },
  d1: { ...d1, ...d1Sql, ...d1Errors },
  objects: { ...objects, ...objectCalls, ...objectErrors, ...objectSockets },
};

/** What must differ between two runs of the same code, and nothing else. */
function evened(text, run) {
  return (
    text
      .replaceAll(run, "RUN")
      // Ids of objects: derived from a key that each side makes for itself.
      .replaceAll(/\b[0-9a-f]{64}\b/g, "OBJECT")
      // The runtime's own reference of an internal error, random.
      .replaceAll(/reference = [0-9a-z]+/g, "reference = X")
  );
}

async function runCase(run, name, deed, env, ctx, request) {
  const at = `${run}_${name.replaceAll("-", "_")}`;
  try {
    const value = await deed(env, at, ctx, request);
    return deed.tells ? value : { value: show(value) };
  } catch (thrown) {
    return { error: tell(thrown) };
  }
}

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    const [, verb, product, name] = url.pathname.split("/");
    if (verb === "cases") {
      return Response.json(Object.fromEntries(Object.entries(LISTS).map(([product, list]) => [product, Object.keys(list)])));
    }
    if (verb === "socket") return env.LOBBY.getByName(product).fetch(request);
    const deed = verb === "run" ? LISTS[product]?.[name] : undefined;
    if (!deed) return new Response("There is no such case", { status: 404 });
    const run = url.searchParams.get("run") ?? "run";
    const answer = await runCase(run, name, deed, env, ctx, request);
    return new Response(evened(JSON.stringify(answer), run), { headers: { "content-type": "application/json" } });
  },
};
