// The flags and dates that src/capsule/compatibility.ts allows are those of the pinned workerd: every word in its
// binary is offered to it as a flag, without --experimental, and its complaints sort them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import {
  checkCompatibility,
  COMPATIBILITY_FLAGS,
  EXPERIMENTAL_FLAGS,
  isPythonFlag,
  NEWEST_COMPATIBILITY_DATE,
} from "../../src/capsule/compatibility.ts";
import { workerdBinary } from "../../src/host/capsules/sandbox/binary.ts";
import { internet, run, worker } from "../fixtures/workerd.ts";

const complaints = (compatibilityFlags: string[], compatibilityDate = "2021-01-01"): string =>
  run(["serve", "--binary", "-"], {
    services: [worker("main", "export default { fetch() {} }", { compatibilityDate, compatibilityFlags }), internet],
  }).stderr;

const named = (text: string, pattern: RegExp): Set<string> => new Set([...text.matchAll(pattern)].map((match) => match[1] ?? ""));

describe("compatibility flags", () => {
  test("the lists are exactly what the pinned workerd knows", () => {
    const binary = readFileSync(workerdBinary(), "latin1");
    const words = [...named(binary, /\0([a-z][a-z0-9_-]{2,90})(?=\0)/g)];
    const said = complaints(words);
    const unknown = named(said, /No such compatibility flag: (\S+)/g);
    const experimental = named(said, /The compatibility flag (\S+) is experimental/g);
    const known = words.filter((word) => !unknown.has(word) && !isPythonFlag(word));
    assert.deepEqual(known.filter((flag) => experimental.has(flag)).sort(), [...EXPERIMENTAL_FLAGS].sort());
    assert.deepEqual(known.filter((flag) => !experimental.has(flag)).sort(), [...COMPATIBILITY_FLAGS].sort());
  });

  test("no flag that opens the process's own services is allowed", () => {
    for (const flag of ["experimental", "unsafe_module", "service_binding_extra_handlers", "allow_insecure_inefficient_logged_eval"]) {
      assert.ok(!COMPATIBILITY_FLAGS.has(flag), flag);
    }
  });
});

describe("compatibility dates", () => {
  test("the newest is the one that the pinned workerd names", () => {
    assert.match(complaints([], "2999-01-01"), new RegExp(`supported by this server binary is "${NEWEST_COMPATIBILITY_DATE}"`));
  });

  test("what passes our check workerd takes, and what workerd refuses does not pass", () => {
    const now = Date.now();
    for (const date of ["2021-01-01", "2026-02-31", "1999-01-01", "2021-1-1", "x", "", "2999-01-01", "2026-13-01", "20211-01-1"]) {
      assert.equal(checkCompatibility(date, [], now) === null, complaints([], date) === "", date);
    }
  });

  test("a date after today is refused although the runtime is newer, as workerd does", () => {
    const dayBefore = Date.parse(NEWEST_COMPATIBILITY_DATE) - 1;
    assert.match(checkCompatibility(NEWEST_COMPATIBILITY_DATE, [], dayBefore) ?? "", /in the future/);
    assert.equal(checkCompatibility(NEWEST_COMPATIBILITY_DATE, [], dayBefore + 1), null);
  });
});
