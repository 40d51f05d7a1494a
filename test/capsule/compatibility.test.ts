import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkCompatibility } from "../../src/capsule/compatibility.ts";

const NOW = Date.parse("2026-11-20T12:00:00Z");
const refusal = (date: string, ...flags: string[]): string => checkCompatibility(date, flags, NOW) ?? "";

describe("compatibility dates and flags", () => {
  test("what the runtime supports passes", () => {
    assert.equal(checkCompatibility("2026-11-20", [], NOW), null);
    assert.equal(
      checkCompatibility("2024-09-23", ["nodejs_compat", "no_global_navigator", "fixup-transform-stream-backpressure"], NOW),
      null,
    );
  });

  test("each refusal names its field and what is wrong with it", () => {
    assert.match(refusal("20-11-2026"), /^compatibility_date is "20-11-2026", which is no date/);
    assert.match(refusal("2026-11-21"), /^compatibility_date is 2026-11-21, which lies in the future: today \(UTC\) is 2026-11-20/);
    assert.match(refusal("2030-01-01"), /newest/);
    assert.match(refusal("2026-01-01", "nodejs_compat", "nodejs_compat"), /^compatibility_flags holds "nodejs_compat" twice/);
    assert.match(refusal("2026-01-01", "nonsense"), /"nonsense", which this installation's runtime does not know/);
  });

  test("an experimental flag is never accepted, nor one of Python's", () => {
    for (const flag of ["experimental", "unsafe_module", "webgpu", "js_rpc"]) assert.match(refusal("2026-01-01", flag), /experimental/);
    assert.match(refusal("2026-01-01", "python_workers"), /Python Workers do not run here/);
  });

  test("a caller's text is cut and escaped before it is said back", () => {
    const said = refusal("2026-01-01", `"\n${"x".repeat(500)}`);
    assert.ok(said.length < 200 && !said.includes("\n"));
  });
});
