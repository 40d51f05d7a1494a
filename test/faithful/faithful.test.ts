// The same Worker, the same files and the same requests on Miniflare and on Mayfly: what differs is told in docs/compatibility.md.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { compatibilityPage, faults, knownDifferences, sharedFaults } from "./known-differences.ts";
import { startMayfly } from "./mayfly.ts";
import { startMiniflare } from "./miniflare.ts";
import { answersOf, casesOf, type Answer, type Product, type Side } from "./sides.ts";
import { writeSite } from "./site.ts";
import { SOCKET_CASES, socketAnswersOf } from "./sockets.ts";
import { siteAnswersOf } from "./site-answers.ts";
import { siteRequests } from "./site-requests.ts";

const HEADINGS: Readonly<Record<Product, string>> = { kv: "KV", d1: "D1", objects: "Durable Objects" };
/** Stands in the names of keys, tables and objects, and is taken out of the answers. */
const RUN = "r7f3c9a1";
const LEAST = { cases: 40, errors: 10 };

const asText = (answers: ReadonlyMap<string, Answer>): Map<string, string> =>
  new Map([...answers].map(([name, answer]) => [name, JSON.stringify(answer)]));

describe("What runs on Miniflare runs on Mayfly", () => {
  const stack = new AsyncDisposableStack();
  let sides: { miniflare: Side; mayfly: Side };

  before(async () => {
    const directory = stack.use(await temporaryDirectory("site"));
    writeSite(directory.path);
    // One after the other, so that a failed start leaves nothing behind.
    const miniflare = stack.use(await startMiniflare(directory.path));
    const mayfly = stack.use(await startMayfly());
    sides = { miniflare, mayfly };
  });
  after(() => stack.disposeAsync());

  for (const [product, heading] of Object.entries(HEADINGS) as [Product, string][]) {
    test(`${heading}: each case answers the same, or differs as told`, async () => {
      const { [product]: names } = await casesOf(sides.miniflare);
      const [theirs, ours] = await Promise.all([sides.miniflare, sides.mayfly].map((side) => answersOf(side, product, names, RUN)));
      assert.ok(theirs && ours);
      assert.ok(names.length >= LEAST.cases, `${names.length} cases`);
      const errors = [...theirs.values()].filter((answer) => "error" in answer).length;
      assert.ok(errors >= LEAST.errors, `${errors} of them errors`);
      const texts = [asText(theirs), asText(ours)] as const;
      const wrong = [...faults(knownDifferences(heading), ...texts), ...sharedFaults(product, ...texts)];
      assert.equal(wrong.length, 0, `\n${wrong.join("\n")}`);
    });
  }

  test("docs/compatibility.md counts them", async () => {
    const cases = Object.values(await casesOf(sides.mayfly)).flat().length;
    assert.match(
      compatibilityPage(),
      new RegExp(`\\b${cases} cases.*\\b${SOCKET_CASES} sockets.*\\b${siteRequests().length} requests`, "s"),
    );
  });

  test("sockets from outside hear the same, or differ as told", async () => {
    const [theirs, ours] = await Promise.all([sides.miniflare, sides.mayfly].map((side) => socketAnswersOf(side, RUN)));
    assert.ok(theirs && ours);
    const wrong = faults(knownDifferences("Sockets from outside"), theirs, ours);
    assert.equal(wrong.length, 0, `\n${wrong.join("\n")}`);
  });

  test("Static assets: each request is answered the same, or otherwise as told", async () => {
    const requests = siteRequests();
    assert.equal(new Set(requests.map(({ name }) => name)).size, requests.length);
    const [theirs, ours] = await Promise.all([sides.miniflare, sides.mayfly].map((side) => siteAnswersOf(side, requests)));
    assert.ok(theirs && ours);
    const errors = [...theirs.values()].filter((answer) => /^[45]/.test(answer)).length;
    assert.ok(requests.length >= LEAST.cases && errors >= LEAST.errors);
    const wrong = faults(knownDifferences("Static assets"), theirs, ours);
    assert.equal(wrong.length, 0, `\n${wrong.join("\n")}`);
  });
});
