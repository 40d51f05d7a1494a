// Durable Objects called from outside: ids and names, fetch, RPC with all that it carries, alarms that ring.
import { RpcTarget } from "cloudflare:workers";
import { each, show } from "../show.js";

/** Asks until `holds` says so. */
async function until(ask, holds, tries = 120) {
  let answer = await ask();
  for (let index = 0; index < tries && !holds(answer); index += 1) {
    await scheduler.wait(50);
    answer = await ask();
  }
  return answer;
}

const ids = {
  "id-from-a-name": ({ CHAMBER }, at) => {
    const id = CHAMBER.idFromName(at);
    const again = CHAMBER.idFromName(at);
    return [
      id.toString().length,
      id.name === at,
      id.equals(again),
      id.toString() === again.toString(),
      id.equals(CHAMBER.idFromName(`${at}2`)),
    ];
  },
  "id-from-text": ({ CHAMBER }, at) => {
    const id = CHAMBER.idFromName(at);
    const back = CHAMBER.idFromString(id.toString());
    return [back.equals(id), back.name, CHAMBER.idFromString(id.toString().toUpperCase()).equals(id)];
  },
  "id-that-is-new": ({ CHAMBER }) => {
    const [one, two] = [CHAMBER.newUniqueId(), CHAMBER.newUniqueId()];
    return [one.equals(two), one.name, one.toString().length, CHAMBER.idFromString(one.toString()).equals(one)];
  },
  "id-with-options": ({ CHAMBER }) =>
    each({
      empty: () => typeof CHAMBER.newUniqueId({}),
      locationHint: () => CHAMBER.get(CHAMBER.newUniqueId(), { locationHint: "weur" }).count(),
    }),
  "id-of-an-empty-name": async ({ CHAMBER }) => [CHAMBER.idFromName("").name, (await CHAMBER.getByName("").identity()).name],
  "id-of-a-long-name": async ({ CHAMBER }, at) => (await CHAMBER.getByName(at + "n".repeat(3000)).identity()).name?.length,
  "stub-has-id-and-name": ({ CHAMBER }, at) => {
    const named = CHAMBER.getByName(at);
    const unnamed = CHAMBER.get(CHAMBER.idFromString(named.id.toString()));
    return [named.name === at, named.id.name === at, unnamed.name, unnamed.id.equals(named.id), named.constructor.name];
  },
  "name-is-known-inside": async ({ CHAMBER }, at) => {
    const { name, id } = await CHAMBER.getByName(at).identity();
    return [name === at, id === CHAMBER.idFromName(at).toString()];
  },
  "name-is-unknown-inside-by-id": async ({ CHAMBER }) => (await CHAMBER.get(CHAMBER.newUniqueId()).identity()).name,
  "names-differ-between-classes": ({ CHAMBER, NOTES }, at) => CHAMBER.idFromName(at).toString() === NOTES.idFromName(at).toString(),
  "jurisdiction-of-the-union": ({ CHAMBER }, at) =>
    each({
      subnamespace: () => CHAMBER.jurisdiction("eu").idFromName(at).equals(CHAMBER.idFromName(at)),
      unique: () => CHAMBER.newUniqueId({ jurisdiction: "eu" }).toString().length,
      call: () => CHAMBER.jurisdiction("eu").getByName(at).count(),
    }),
};

const fetches = {
  "fetch-carries": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    const get = await stub.fetch("http://object/a/../b?q=1#h");
    const put = await stub.fetch(
      new Request("https://other.example/x", { method: "PUT", body: "sent", headers: { "x-test": "é".length } }),
    );
    return [await get.json(), await put.json(), get.headers.get("content-type")];
  },
  "fetch-streams": async ({ CHAMBER }, at) => (await CHAMBER.getByName(at).fetch("http://object/stream")).text(),
  "fetch-follows-a-redirect": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    const followed = await stub.fetch("http://object/redirect");
    const manual = await stub.fetch("http://object/redirect", { redirect: "manual" });
    return [followed.status, followed.redirected, (await followed.json()).url, manual.status, manual.headers.get("location")];
  },
  "fetch-of-many-kinds-of-method": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    const found = {};
    for (const method of ["POST", "DELETE", "OPTIONS", "PATCH", "PROPFIND"]) {
      const init = method === "POST" || method === "PATCH" ? { method, body: "b" } : { method };
      found[method] = await stub.fetch("http://object/", init).then((response) => response.json(), String);
    }
    return found;
  },
};

class Listener extends RpcTarget {
  heard = [];
  hear(word) {
    this.heard.push(word);
    return this.heard.length;
  }
}

const rpc = {
  "rpc-arguments": ({ CHAMBER }, at) => {
    const cyclic = [1];
    cyclic.push(cyclic);
    return CHAMBER.getByName(at).told(
      "é",
      -0,
      NaN,
      7n,
      null,
      undefined,
      new Date(0),
      /a/g,
      new Map([[1, 2]]),
      new Set([1]),
      new Uint8Array([1]),
      new RangeError("sent"),
      {
        nested: [undefined],
      },
    );
  },
  "rpc-answers": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    return [
      await stub.nothing(),
      await stub.echo(new Map([[1, new Date(0)]])),
      await stub.echo(7n),
      await stub.echo(1, 2),
      await stub.echo(),
    ];
  },
  "rpc-own-cycles": async ({ CHAMBER }, at) => {
    const cyclic = { name: "c" };
    cyclic.self = cyclic;
    const back = await CHAMBER.getByName(at).echo(cyclic);
    return back.self === back;
  },
  "rpc-callbacks": async ({ CHAMBER }, at) => CHAMBER.getByName(at).callback((a, b) => `${a}+${b}`, 1, "two"),
  "rpc-callback-object": async ({ CHAMBER }, at) => {
    const listener = new Listener();
    const answer = await CHAMBER.getByName(at).callback((target) => target, "x");
    const echoed = await CHAMBER.getByName(at).echo(listener);
    return [answer, await echoed.hear("a"), await echoed.hear("b"), listener.heard];
  },
  "rpc-functions-come-back": async ({ CHAMBER }, at) => {
    const doubler = await CHAMBER.getByName(at).doubler();
    return [typeof doubler, await doubler(21)];
  },
  "rpc-objects-come-back": async ({ CHAMBER }, at) => {
    using adder = await CHAMBER.getByName(at).adder();
    return [await adder.add(2), await adder.add(3), await adder.sum, await Promise.resolve(adder.label).catch((error) => error)];
  },
  "rpc-pipelines": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    return [
      await stub.adder().add(5),
      await stub.nested().deep.adder.add(1),
      await stub.nested().deep.upper("up"),
      await stub.echo({ a: { b: 1 } }).a.b,
    ];
  },
  "rpc-getters": async ({ CHAMBER }, at) => CHAMBER.getByName(at).motto,
  "rpc-streams": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    return [await stub.read(new Response("into it").body), await new Response(await stub.stream()).text()];
  },
  "rpc-requests-and-responses": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    const request = new Request("https://a.example/p", { method: "POST", body: "b", headers: { "x-test": "t" } });
    const response = await stub.response();
    return [await stub.request(request), response.status, response.headers.get("x-test"), await response.text()];
  },
  "rpc-calls-keep-their-order": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    return Promise.all(Array.from({ length: 20 }, () => stub.count()));
  },
  "rpc-calls-interleave-at-waits": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    return Promise.all([stub.countIn(60), stub.count()]);
  },
  "rpc-of-4-mib": async ({ CHAMBER }, at) => (await CHAMBER.getByName(at).echo(new Uint8Array(4 * 1024 * 1024))).length,
  "rpc-stub-of-any-name": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    return [typeof stub.anything, typeof stub.fetch, "anything" in stub, show(Object.keys(stub))];
  },
  "rpc-underscored-method": ({ CHAMBER }, at) => CHAMBER.getByName(at)._underscored(),
  "memory-and-storage-stay": async ({ CHAMBER }, at) => {
    await CHAMBER.getByName(at).remember("k", { v: 1 });
    await CHAMBER.getByName(at).count();
    return [await CHAMBER.getByName(at).count(), await CHAMBER.getByName(at).recall("k"), await CHAMBER.getByName(`${at}2`).recall("k")];
  },
  "constructor-is-waited-for": ({ LEDGER }, at) => LEDGER.getByName(at).made(),
  "block-answers": ({ CHAMBER }, at) => CHAMBER.getByName(at).block(false),
};

const alarms = {
  "alarm-rings": async ({ BELL }, at) => {
    const bell = BELL.getByName(at);
    await bell.setIn(50);
    return until(
      () => bell.heard(),
      ({ rings }) => rings.length > 0,
    );
  },
  "alarm-in-the-past-rings-at-once": async ({ BELL }, at) => {
    const bell = BELL.getByName(at);
    await bell.setIn(-5000);
    return until(
      () => bell.heard(),
      ({ rings }) => rings.length > 0,
      40,
    );
  },
  "alarm-that-throws-rings-again": async ({ BELL }, at) => {
    const bell = BELL.getByName(at);
    await bell.setIn(10, 1);
    return until(
      () => bell.heard(),
      ({ rings }) => rings.length > 1,
      200,
    );
  },
  "alarm-set-in-its-own-handler": async ({ BELL }, at) => {
    const bell = BELL.getByName(at);
    await bell.setIn(10, 0, true);
    return until(
      () => bell.heard(),
      ({ rings }) => rings.length > 1,
    );
  },
  "alarm-taken-back": async ({ BELL }, at) => {
    const bell = BELL.getByName(at);
    await bell.setIn(300);
    await bell.cancel();
    await scheduler.wait(500);
    return bell.heard();
  },
  "alarm-put-off": async ({ BELL }, at) => {
    const bell = BELL.getByName(at);
    await bell.setIn(300);
    await bell.setIn(600_000);
    await scheduler.wait(500);
    const heard = await bell.heard();
    await bell.cancel();
    return heard;
  },
  "alarm-after-delete-all": async ({ BELL }, at) => {
    const bell = BELL.getByName(at);
    await bell.setIn(600_000);
    await bell.clear();
    const heard = await bell.heard();
    await bell.cancel();
    return heard;
  },
};

export const objectCalls = { ...alarms, ...ids, ...fetches, ...rpc };
