import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJson } from "../../../src/control/http/body.ts";

const parse = (text: string) => parseJson(Buffer.from(text));

test("JSON is taken as it is, brackets in its strings notwithstanding", () => {
  const value = { a: [1, "[[{", 'quote " and \\', { b: null }], ["["]: "]" };
  assert.deepEqual(parse(JSON.stringify(value)), { ok: true, value });
  assert.deepEqual(parse(JSON.stringify("[".repeat(1000))), { ok: true, value: "[".repeat(1000) });
  assert.equal(parse("[[]]".repeat(1)).ok, true);
  assert.equal(parse(`[${"[],".repeat(1000)}[]]`).ok, true, "many side by side are not deep");
});

test("JSON deeper than a hundred levels is refused, however long", () => {
  assert.equal(parse("[".repeat(100) + "]".repeat(100)).ok, true);
  for (const depth of [101, 5000, 500_000]) {
    assert.deepEqual(parse("[".repeat(depth) + "]".repeat(depth)), { ok: false, problem: "is nested deeper than 100 levels" });
    assert.deepEqual(parse('{"a":'.repeat(depth)), { ok: false, problem: "is nested deeper than 100 levels" });
  }
});

test("what is no JSON or no UTF-8 is refused", () => {
  for (const text of ["", "{", '{"a":}', "nope", '"open']) assert.equal(parse(text).ok, false, text);
  assert.deepEqual(parseJson(Buffer.from([0x22, 0xff, 0x22])), { ok: false, problem: "is not JSON in UTF-8" });
});
