import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkAssetPaths } from "../../src/capsule/asset-paths.ts";

describe("paths of assets", () => {
  test("ordinary ones lie side by side, in any script, with dots and spaces", () => {
    const paths = ["/index.html", "/.well-known/x", "/a/b.c/d", "/a/b", "/\u00FCber uns/\u65E5\u672C.html", "/..a/b..", "/..."];
    assert.deepEqual(checkAssetPaths(paths), { ok: true });
  });

  const refused: readonly (readonly [string, RegExp])[] = [
    ["index.html", /slash/],
    ["/a/../b", /segment "\.\."/],
    ["/./a", /segment "\."/],
    ["/..", /segment/],
    ["/a\\..\\b", /backslash/],
    ["/a\0b", /NUL/],
    ["/a//b", /empty/],
    ["/a/", /empty/],
    ["/", /empty/],
    [`/${"x".repeat(256)}`, /255/],
    [`/${"\u00E9".repeat(128)}`, /255/],
    [`/${"abc/".repeat(1000)}d`, /2048/],
    ["/\uD800", /Unicode/],
  ];
  for (const [path, problem] of refused) {
    test(`${JSON.stringify(path.slice(0, 20))} never becomes a file`, () => {
      const check = checkAssetPaths(["/fine", path]);
      assert.ok(!check.ok);
      assert.equal(check.path, path);
      assert.match(check.problem, problem);
    });
  }

  test("a path is never both a file and a directory, in whatever order they come", () => {
    for (const paths of [
      ["/a", "/a/b"],
      ["/a/b/c", "/a/b"],
      ["/x/y/z", "/x"],
    ]) {
      const check = checkAssetPaths(paths);
      assert.ok(!check.ok && /both/.test(check.problem));
    }
  });

  test("a path named twice is refused", () => {
    const check = checkAssetPaths(["/a", "/a"]);
    assert.ok(!check.ok && /twice/.test(check.problem));
  });
});
