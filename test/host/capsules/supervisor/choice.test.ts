import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Route } from "../../../../src/capsule/spec.ts";
import { choose, placeOf, readOverride, versionAt } from "../../../../src/host/capsules/supervisor/choice.ts";

/** Newest first. */
const split = (...shares: readonly (readonly [version: string, percentage: number])[]): Route => ({
  label: "app--quiet-otter-x7k2p",
  worker: "app",
  choices: shares.map(([version, percentage]) => ({ service: `s-${version}`, version, percentage })),
});

const never = (): never => assert.fail("chance was asked");
/** Percentages with decimals. */
const percentage = fc.integer({ min: 0, max: 10_000 }).map((hundredths) => hundredths / 100);
const key = fc.string({ minLength: 1 });

describe("the version for a key", () => {
  test("is the same for every request with it, whatever chance says", () => {
    fc.assert(
      fc.property(key, percentage, (of, share) => {
        const route = split(["new", share], ["old", 100 - share]);
        assert.deepEqual(choose(route, { key: of }, never), choose(route, { key: of }, never));
      }),
    );
  });

  test("never goes back to the old one while the new one's share rises", () => {
    fc.assert(
      fc.property(key, percentage, percentage, (of, one, other) => {
        const [low, high] = [Math.min(one, other), Math.max(one, other)];
        const at = (share: number) => choose(split(["new", share], ["old", 100 - share]), { key: of }, never)?.version;
        if (at(low) === "new") assert.equal(at(high), "new");
        if (at(high) === "old") assert.equal(at(low), "old");
      }),
      { numRuns: 1000 },
    );
  });

  test("is never one without a share, even where shares miss their sum a little", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 99.999999, noNaN: true }), fc.constantFrom(99.99, 100, 100.01), (place, sum) => {
        assert.equal(versionAt(split(["new", 0], ["old", sum]).choices, place)?.version, "old");
        assert.equal(versionAt(split(["new", sum], ["old", 0]).choices, place)?.version, "new");
      }),
    );
  });

  test("is spread over keys as the shares say, and independently for each Worker", () => {
    const places = Array.from({ length: 20_000 }, (_, at) => placeOf("app", `user-${at}`));
    for (const bound of [1, 10, 25, 50, 90]) {
      const below = places.filter((place) => place < bound).length / places.length;
      // Five standard deviations of a fair draw.
      const off = 5 * Math.sqrt(((bound / 100) * (1 - bound / 100)) / places.length);
      assert.ok(Math.abs(below - bound / 100) < off, `${below} of the keys lie below ${bound} %`);
    }
    const both = places.filter((place, at) => place < 50 && placeOf("other", `user-${at}`) < 50).length / places.length;
    assert.ok(Math.abs(both - 0.25) < 0.02, `${both} of the keys are below half for both`);
  });
});

describe("without a key", () => {
  test("chance decides in proportion", () => {
    const route = split(["new", 12.5], ["old", 87.5]);
    const drawn = Array.from({ length: 1000 }, (_, at) => choose(route, {}, () => at / 1000)?.version);
    assert.equal(drawn.filter((version) => version === "new").length, 125);
    assert.equal(choose(route, { key: "" }, () => 0)?.version, "new");
  });

  test("a version alone is taken without a draw", () => {
    assert.equal(choose(split(["only", 100]), {}, never)?.version, "only");
  });
});

describe("an override", () => {
  const route = split(["new", 0], ["old", 100]);
  const overridden = (overrides: string): string | undefined => choose(route, { overrides, key: "k" }, never)?.version;

  test("names any version of the deployment, one without a share included", () => {
    assert.equal(overridden('app="new"'), "new");
    assert.equal(overridden('other="old", app="new";q=1, third="x"'), "new");
    assert.equal(overridden('app="old",\t app="new"'), "new");
  });

  test("of another Worker, of a version that is not deployed, or one that is malformed is ignored", () => {
    for (const bad of [
      'other="new"',
      'app="gone"',
      "app=new",
      "app",
      'app="new',
      'app="new",',
      'app = "new"',
      'APP="new"',
      'app="new" x',
      'app="new",,b="c"',
      "",
      '=,"new"',
      `app="new", ${"x".repeat(5000)}`,
    ]) {
      assert.equal(overridden(bad), "old", bad);
    }
  });

  test("is read as a dictionary of RFC 8941, whatever else stands in it", () => {
    assert.equal(readOverride('a=1, b=?0, c=:YQ==:, d=("x y" tok);p="q", e, app="v";n=3', "app"), "v");
    assert.equal(readOverride('app="a\\"b\\\\c"', "app"), 'a"b\\c');
    assert.equal(readOverride('9lives="v"', "9lives"), "v");
  });

  test("never throws and takes no long time", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 4096 }), fc.constantFrom("app", "a"), (field, worker) => {
        const before = performance.now();
        readOverride(field, worker);
        assert.ok(performance.now() - before < 500);
      }),
    );
    for (const piece of ["(", '("', "a=(", 'a="\\', "a;", "a=:", "a,", ";"]) {
      const before = performance.now();
      readOverride(piece.repeat(4096 / piece.length), "app");
      assert.ok(performance.now() - before < 500, piece);
    }
  });

  test("of every well-formed dictionary, the last member of the name counts", () => {
    const text = fc.stringMatching(/^[ -~]{0,20}$/);
    const member = fc.tuple(fc.constantFrom("app", "other", "a-b", "*x"), text);
    fc.assert(
      fc.property(fc.array(member, { minLength: 1 }), (members) => {
        const field = members.map(([name, value]) => `${name}="${value.replace(/[\\"]/g, "\\$&")}"`).join(" , ");
        assert.equal(readOverride(field, "app"), members.findLast(([name]) => name === "app")?.[1]);
      }),
    );
  });
});
