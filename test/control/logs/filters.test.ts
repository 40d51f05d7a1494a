// Every filter that wrangler can send, and every way to get one wrong.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readFilters, tailBody } from "../../../src/control/logs/filters.ts";
import { check } from "../../../src/control/http/body.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";

const target = { account: newAccountId(), worker: "w" };
const read = (body: unknown) => readFilters(target, check(tailBody, body, "body"), "203.0.113.7");
const one = (filter: unknown) => ({ filters: [filter] });

describe("A tail's filters", () => {
  const good: [body: unknown, query: object][] = [
    [{}, {}],
    [{ filters: [] }, {}],
    [one({ sampling_rate: 0.25 }), { samplingRate: 0.25 }],
    [
      one({ outcome: ["exception", "exceededCpu", "exceededMemory", "unknown"] }),
      { outcomes: ["exception", "exceededCpu", "exceededMemory", "unknown"] },
    ],
    [one({ method: ["get", "POST"] }), { methods: ["GET", "POST"] }],
    [one({ header: { key: "X-Key" } }), { headers: [{ key: "x-key" }] }],
    [one({ header: { key: "x-key", query: "" } }), { headers: [{ key: "x-key" }] }],
    [one({ header: { key: "x-key", query: "v" } }), { headers: [{ key: "x-key", query: "v" }] }],
    [{ filters: [{ header: { key: "a" } }, { header: { key: "b" } }] }, { headers: [{ key: "a" }, { key: "b" }] }],
    [one({ client_ip: ["self", "2001:db8::1"] }), { clientIps: ["203.0.113.7", "2001:db8::1"] }],
    [one({ query: "word" }), { query: "word" }],
    [one({ scriptVersion: "0000" }), { version: "0000" }],
    [
      { filters: [{ outcome: ["ok"] }, { query: "x" }], more: 1 },
      { outcomes: ["ok"], query: "x" },
    ],
  ];
  for (const [body, query] of good) {
    test(`${JSON.stringify(body)} are understood`, () => assert.deepEqual(read(body), { ...query, ...target }));
  }

  const bad: [body: unknown, complaint: RegExp][] = [
    [[], /^body: /],
    [{ filters: {} }, /^filters: /],
    [{ filters: [1] }, /^filters\.0: /],
    [one({}), /^filters\.0: must hold one of sampling_rate/],
    [one({ query: "a", method: ["GET"] }), /^filters\.0: must hold one of/],
    [one({ colour: "red" }), /^filters\.0\.colour: no such filter; there are/],
    [one({ constructor: "x" }), /^filters\.0\.constructor: no such filter/],
    [one({ account: "x" }), /^filters\.0\.account: no such filter/],
    [one({ sampling_rate: 0 }), /^filters\.0\.sampling_rate: must be above 0 and below 1/],
    [one({ sampling_rate: 1 }), /^filters\.0\.sampling_rate: must be above 0 and below 1/],
    [one({ sampling_rate: "0.5" }), /^filters\.0\.sampling_rate: /],
    [one({ outcome: ["fine"] }), /^filters\.0\.outcome\.0: /],
    [one({ outcome: [] }), /^filters\.0\.outcome: /],
    [one({ method: ["G T"] }), /^filters\.0\.method\.0: must be made of/],
    [one({ header: { query: "v" } }), /^filters\.0\.header\.key: missing\.$/],
    [one({ header: { key: "a b" } }), /^filters\.0\.header\.key: must be made of/],
    [one({ header: { key: "a", value: "v" } }), /^filters\.0\.header: /],
    [one({ client_ip: ["nowhere"] }), /^filters\.0\.client_ip: must hold IP addresses or "self", not "nowhere"/],
    [one({ query: "" }), /^filters\.0\.query: /],
    [one({ query: "x".repeat(501) }), /^filters\.0\.query: /],
    [one({ scriptVersion: null }), /^filters\.0\.scriptVersion: /],
    [{ filters: [{ query: "a" }, { query: "b" }] }, /^filters\.1\.query: given twice/],
    [{ filters: Array.from({ length: 51 }, () => ({ header: { key: "a" } })) }, /^filters: /],
  ];
  for (const [body, complaint] of bad) {
    test(`${JSON.stringify(body).slice(0, 70)} are refused by name`, () =>
      assert.throws(
        () => read(body),
        (error) => error instanceof PlatformError && error.code === "invalid_input" && complaint.test(error.message),
      ));
  }
});
