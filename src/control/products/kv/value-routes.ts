// Keys and values over the API. Values stream; what writes is in the trail once a request, and reads are refused for
// whoever the process would be refused to.
import { Readable } from "node:stream";
import { PlatformError } from "../../../kernel/errors.ts";
import { check, parseJson, readBytes, readJson } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { BodyMemory } from "../../http/memory.ts";
import { accountRoute, type AccountCall, type Method, type Route } from "../../http/routes.ts";
import type { ProductContext } from "../product.ts";
import { checkPairs, writePairs } from "./bulk.ts";
import { bulkGetBody, bulkKeys, bulkOnWire, checkKey, keysQuery, lifeQuery, toLife } from "./contract.ts";
import { noNamespace } from "./namespaces.ts";
import * as values from "./process.ts";
import type { Found, Place } from "./process.ts";
import { BULK_MAX_BYTES, BULK_MAX_PAIRS, BULKS_BYTES, BULKS_SHARE_BYTES, KEY_MAX_BYTES, VALUES_MAX_BYTES } from "./quota.ts";
import { findNamespace } from "./store.ts";
import { readValue } from "./value-body.ts";

const KEYS_MAX_BYTES = BULK_MAX_PAIRS * (KEY_MAX_BYTES * 6 + 4);

const noKey = (key: string): PlatformError =>
  new PlatformError("kv_key_not_found", { message: `key: get: 'key not found': the namespace has no key ${JSON.stringify(key)}.` });

type Handle = (call: AccountCall, place: Place) => Promise<Response>;
type Namespace = "/accounts/:account/storage/kv/namespaces/:namespace";

const queryOf = (call: AccountCall): Record<string, string> => Object.fromEntries(call.url.searchParams);
const keyOf = (call: AccountCall): string => checkKey(call.params["key"] ?? "");

function found(type: "text" | "json", withMetadata: boolean, keys: readonly string[], got: readonly (Found | null)[]) {
  const parse = (value: string): unknown => {
    const parsed = parseJson(Buffer.from(value));
    if (parsed.ok) return parsed.value;
    throw new PlatformError("invalid_input", {
      message: `type: json, but at least one of the keys has a value that ${parsed.problem}.`,
      next: "Ask for the values as text.",
    });
  };
  const entries = keys.map((key, at): [string, unknown] => {
    const one = got[at];
    if (!one) return [key, null];
    const value = type === "json" ? parse(one.value) : one.value;
    if (!withMetadata) return [key, value];
    return [key, { value, metadata: one.metadata, ...(one.expiration !== null && { expiration: one.expiration }) }];
  });
  // A key may be called `__proto__`.
  return { values: Object.assign(Object.create(null) as object, Object.fromEntries(entries)) };
}

export function valueRoutes(context: ProductContext, namespace: Namespace): Route[] {
  const { db, clock } = context.store;
  const memory = new BodyMemory(BULKS_BYTES, BULKS_SHARE_BYTES);
  const answers = new BodyMemory(VALUES_MAX_BYTES * 2, VALUES_MAX_BYTES);

  const below = (method: Method, rest: string, action: "kv:read" | "kv:write", handle: Handle): Route =>
    accountRoute(method, `${namespace}/${rest}`, { action, product: "kv", param: "namespace" }, async (call) => {
      const id = call.params["namespace"] ?? "";
      if (!(await findNamespace(db, call.account, id))) throw noNamespace(id);
      return handle(call, { host: context.host, account: call.account, namespace: id });
    });
  const written = <T>(call: AccountCall, { namespace: id }: Place, fn: () => Promise<T>): Promise<T> =>
    context.outside(call.principal, "kv:write", `kv/${id}`, fn);

  const put: Handle = async (call, place) => {
    const key = keyOf(call);
    const life = toLife(check(lifeQuery, queryOf(call), "query"), clock.now());
    await written(call, place, async () => {
      const body = readValue(call.request);
      try {
        await values.putValue(place, key, body.frames, life);
      } catch (error) {
        throw body.problem() ?? error;
      } finally {
        body.frames.destroy();
      }
    });
    return success(null);
  };
  const get: Handle = async (call, place) => {
    const key = keyOf(call);
    const value = await values.getValue(place, key);
    if (!value) throw noKey(key);
    return new Response(Readable.toWeb(value.body) as ReadableStream, {
      headers: {
        "content-type": "application/octet-stream",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        ...(value.expiration !== null && { expiration: value.expiration }),
      },
    });
  };
  const bulkPut: Handle = async (call, place) => {
    using room = memory.open(call.account);
    const body = Buffer.from(await readBytes(call.request, BULK_MAX_BYTES, room));
    const nowMs = clock.now();
    await checkPairs(body, nowMs);
    const { count, failed, problem } = await written(call, place, () => writePairs(place, body, nowMs));
    return success(bulkOnWire(count, failed), { messages: problem ? [`${problem.message} ${problem.next}`] : [] });
  };
  const bulkDelete: Handle = async (call, place) => {
    using room = memory.open(call.account);
    const keys = await readJson(call.request, bulkKeys, KEYS_MAX_BYTES, room);
    await written(call, place, () => values.deleteKeys(place, keys));
    return success(bulkOnWire(keys.length, []));
  };
  return [
    below("GET", "keys", "kv:read", async (call, place) => {
      const { keys, cursor } = await values.listKeys(place, check(keysQuery, queryOf(call), "query"));
      return success(keys, { info: { count: keys.length, cursor } });
    }),
    below("GET", "values/:key", "kv:read", get),
    below("PUT", "values/:key", "kv:write", put),
    below("DELETE", "values/:key", "kv:write", async (call, place) => {
      const key = keyOf(call);
      await written(call, place, () => values.deleteValue(place, key));
      return success(null);
    }),
    below("GET", "metadata/:key", "kv:read", async (call, place) => {
      const key = keyOf(call);
      const metadata = await values.getMetadata(place, key);
      if (metadata === undefined) throw noKey(key);
      return success(metadata);
    }),
    below("POST", "bulk/get", "kv:read", async (call, place) => {
      const { keys, type, withMetadata } = await readJson(call.request, bulkGetBody);
      // The body may have taken minutes to arrive, and the token may have ended meanwhile.
      const stands = await context.store.inAccount(call.principal, (tx) => findNamespace(tx, call.account, place.namespace));
      if (!stands) throw noNamespace(place.namespace);
      using room = answers.open(call.account);
      return success(found(type, withMetadata, keys, await values.getValues(place, keys, room)));
    }),
    below("PUT", "bulk", "kv:write", bulkPut),
    below("DELETE", "bulk", "kv:write", bulkDelete),
    below("POST", "bulk/delete", "kv:write", bulkDelete),
  ];
}
