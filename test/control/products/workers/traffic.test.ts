// Splits as callers meet them: both wings, a real edge, real processes.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openHouse, type House } from "../../../fixtures/house.ts";
import { tenantOfHouse, uploadForm, type Tenant } from "../../../fixtures/tenant.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../../../fixtures/temporary-directory.ts";
import type { AccountId } from "../../../../src/kernel/ids.ts";

const KEY = "Cloudflare-Workers-Version-Key";
const OVERRIDES = "Cloudflare-Workers-Version-Overrides";

/** Says what it is, and shows the headers by which it was chosen. */
const saying = (text: string): string =>
  `export default { async fetch(request) {
    if (new URL(request.url).pathname === "/headers") return Response.json(["${KEY}", "${OVERRIDES}"].map((name) => request.headers.get(name)));
    return new Response("${text}"); } };`;

describe("Traffic between versions", () => {
  let directory: TemporaryDirectory;
  let house: House;
  let tenant: Tenant;

  before(async () => {
    directory = await temporaryDirectory("traffic");
    house = await openHouse({ directory: directory.path, ttlSeconds: 3600 });
    tenant = await tenantOfHouse(house);
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const scripts = (path: string): string => `/accounts/${tenant.id}/workers/scripts/${path}`;
  const label = (worker: string): string => `${worker}--${tenant.subdomain}`;
  const get = async (worker: string, headers: Record<string, string> = {}, path = "/"): Promise<string> => {
    const { status, body } = await house.edge(label(worker), path, headers);
    return status === 200 ? body : `${status} ${body}`;
  };
  const versionOf = async (worker: string, text: string): Promise<string> => {
    const answer = await tenant.call<{ id: string }>("POST", scripts(`${worker}/versions`), uploadForm(saying(text)));
    assert.equal(answer.status, 200, answer.message);
    return answer.result.id;
  };
  const split = async (worker: string, shares: Readonly<Record<string, number>>): Promise<void> => {
    const versions = Object.entries(shares).map(([version_id, percentage]) => ({ version_id, percentage }));
    const answer = await tenant.call("POST", scripts(`${worker}/deployments`), JSON.stringify({ strategy: "percentage", versions }));
    assert.equal(answer.status, 200, answer.message);
  };
  const firstOf = async (worker: string): Promise<string> => {
    const { result } = await tenant.call<{ items: { id: string; number: number }[] }>("GET", scripts(`${worker}/versions`));
    return result.items.find(({ number }) => number === 1)?.id ?? "";
  };
  /** @param each makes one request */
  const many = async (count: number, each: (at: number) => Promise<string>): Promise<string[]> => {
    const answers: string[] = [];
    const caller = async (): Promise<void> => {
      while (count-- > 0) answers.push(await each(count));
    };
    await Promise.all(Array.from({ length: 16 }, caller));
    return answers;
  };
  const starts = async (): Promise<number> => (await house.host.capsuleHost.usage(tenant.id as AccountId)).starts;

  test("is shared as the percentages say, by chance without a key and once for all with one", async () => {
    await tenant.deploy("shared", saying("one"));
    const [one, two] = [await firstOf("shared"), await versionOf("shared", "two")];
    await split("shared", { [one]: 70, [two]: 30 });
    const drawn = await many(1500, () => get("shared"));
    assert.deepEqual(new Set(drawn), new Set(["one", "two"]));
    const share = drawn.filter((text) => text === "two").length / drawn.length;
    // Five standard deviations of a fair draw.
    assert.ok(Math.abs(share - 0.3) < 5 * Math.sqrt((0.3 * 0.7) / drawn.length), `${share} of the requests went to 30 %`);
    const keyed = new Map<string, string>();
    const stick = async (at: number): Promise<string> => {
      const key = `user-${at % 60}`;
      const text = await get("shared", { [KEY]: key });
      assert.equal(text, keyed.get(key) ?? text, key);
      keyed.set(key, text);
      return text;
    };
    await many(300, stick);
    assert.deepEqual(new Set(keyed.values()), new Set(["one", "two"]));
    // Ramping up moves keys to the new version and none away from it, and starts no process.
    const before = await starts();
    await split("shared", { [one]: 40, [two]: 60 });
    for (const [key, text] of keyed) if (text === "two") assert.equal(await get("shared", { [KEY]: key }), "two");
    assert.equal(await starts(), before);
  });

  test("goes to the version that a caller names, one at 0 % included and none beyond the deployment", async () => {
    await tenant.deploy("named", saying("one"));
    const [one, two] = [await firstOf("named"), await versionOf("named", "two")];
    assert.equal(await get("named", { [OVERRIDES]: `named="${two}"` }), "one");
    await split("named", { [one]: 100, [two]: 0 });
    assert.deepEqual(new Set(await many(100, () => get("named"))), new Set(["one"]));
    assert.equal(await get("named", { [OVERRIDES]: `named="${two}"` }), "two");
    assert.equal(await get("named", { [OVERRIDES]: `other="x", named="${two}";q=1` }), "two");
    for (const ignored of [`other="${two}"`, `named=${two}`, `named="${two}", ,`, `named="${crypto.randomUUID()}"`]) {
      assert.equal(await get("named", { [OVERRIDES]: ignored }), "one", ignored);
    }
    const sent = { [KEY]: "k", [OVERRIDES]: `named="${two}"` };
    assert.deepEqual(JSON.parse(await get("named", sent, "/headers")), ["k", `named="${two}"`]);
  });

  test("never fails nor meets a version that is not deployed while deployments follow each other", async () => {
    await tenant.deploy("moving", saying("v1"));
    const ids = [await firstOf("moving")];
    for (const text of ["v2", "v3", "v4"]) ids.push(await versionOf("moving", text));
    const [v1 = "", v2 = "", v3 = "", v4 = ""] = ids;
    /** What may answer from the moment of asking for it until the next one is acknowledged. */
    const windows: { readonly from: number; to: number; readonly texts: readonly string[] }[] = [
      { from: 0, to: Number.POSITIVE_INFINITY, texts: ["v1"] },
    ];
    const seen: { readonly from: number; readonly to: number; readonly text: string; readonly key: string }[] = [];
    const over = new AbortController();
    const caller = async (key: string): Promise<void> => {
      while (!over.signal.aborted) {
        const from = performance.now();
        const text = await get("moving", key === "" ? {} : { [KEY]: key });
        seen.push({ from, to: performance.now(), text, key });
      }
    };
    const callers = ["", "", "a", "b", "c", "d", "e", "f"].map(caller);
    const move = async (shares: Readonly<Record<string, number>>): Promise<void> => {
      const texts = Object.keys(shares).map((id) => `v${ids.indexOf(id) + 1}`);
      windows.push({ from: performance.now(), to: Number.POSITIVE_INFINITY, texts });
      await split("moving", shares);
      const before = windows.at(-2);
      if (before) before.to = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 100));
    };
    for (const [low, high] of [
      [v1, v2],
      [v2, v3],
      [v3, v4],
    ] as const) {
      for (const share of [10, 50, 90]) await move({ [low]: 100 - share, [high]: share });
      await move({ [high]: 100 });
    }
    over.abort();
    await Promise.all(callers);
    assert.ok(seen.length > 200, `${seen.length} requests`);
    for (const { from, to, text } of seen) {
      const allowed = windows.filter((window) => window.from <= to && window.to >= from).flatMap(({ texts }) => texts);
      assert.ok(allowed.includes(text), `${text} was answered where ${allowed.join(" or ")} may`);
    }
    // Each key's caller asks again only once it was answered, and only ever sees newer versions.
    for (const key of ["a", "b", "c", "d", "e", "f"]) {
      const texts = seen.filter((one) => one.key === key).map(({ text }) => text);
      assert.deepEqual(texts, texts.toSorted(), key);
      assert.equal(texts.at(-1), "v4");
    }
  });

  test("starts nothing anew when a Worker's subdomain is switched right after its upload", async () => {
    await tenant.deploy("hot", saying("hot"));
    assert.equal((await tenant.upload("fresh", saying("fresh"))).status, 200);
    assert.equal(await get("hot"), "hot");
    const before = await starts();
    assert.match(await get("fresh"), /^404 /);
    for (const enabled of [true, false, true]) {
      assert.equal((await tenant.call("POST", scripts("fresh/subdomain"), JSON.stringify({ enabled }))).status, 200);
      assert.match(await get("fresh"), enabled ? /^fresh$/ : /^404 /);
    }
    assert.equal(await starts(), before);
  });
});
