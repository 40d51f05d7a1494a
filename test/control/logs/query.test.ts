// What may be asked of logs and metrics: every parameter, right and wrong, by the complaint that names it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readFollowQuery, readLogQuery, readMetricsQuery, readTime, wantsFollow } from "../../../src/control/logs/query.ts";
import { iso } from "../../../src/kernel/clock.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";
import { newAccountId } from "../../../src/kernel/ids.ts";

const NOW = Date.parse("2026-11-24T12:00:00Z");
const account = newAccountId();
const url = (query: string): URL => new URL(`http://localhost/accounts/x/logs?${query}`);

function complaint(ask: () => unknown): string {
  try {
    ask();
  } catch (error) {
    assert.ok(error instanceof PlatformError && error.code === "invalid_input", String(error));
    return error.message;
  }
  return assert.fail("it was let through");
}

describe("A time", () => {
  const good: [string, number][] = [
    ["2026-11-24T11:00:00Z", NOW - 3_600_000],
    ["2026-11-24T12:00:00+01:00", NOW - 3_600_000],
    ["2026-11-24T11:59:59.250Z", NOW - 750],
    ["2026-11-24", NOW - 43_200_000],
    [String(NOW - 5), NOW - 5],
    ["90s", NOW - 90_000],
    ["10m", NOW - 600_000],
    ["2h", NOW - 7_200_000],
    ["1d", NOW - 86_400_000],
    ["500ms", NOW - 500],
  ];
  for (const [text, expected] of good) test(`${text} is understood`, () => assert.equal(readTime("since", text, NOW), expected));

  const bad = [
    "",
    "yesterday",
    "10",
    "1700000000",
    "-10m",
    "10 m",
    "1w",
    "1.5h",
    "2026-11-24T12:00:00",
    "2026-13-01T00:00:00Z",
    "NaN",
    "1e12",
  ];
  for (const text of [...bad, "9".repeat(16), "9".repeat(400)]) {
    test(`${JSON.stringify(text.slice(0, 30))} is refused by name`, () => {
      const message = complaint(() => readTime("since", text, NOW));
      assert.match(message, /^since: /);
      assert.ok(message.length < 300);
    });
  }
});

describe("A time out of bounds", () => {
  const bad: [text: string, side: string][] = [
    ["999999999d", "before 1970"],
    ["999999999h", "before 1970"],
    ["20782d", "before 1970"],
    ["1969-12-31", "before 1970"],
    ["0000-01-01", "before 1970"],
    ["1970-01-01T00:00:00+01:00", "before 1970"],
    ["253402300800000", "after 9999"],
    ["8640000000000000", "after 9999"],
    ["9999-12-31T23:59:59-01:00", "after 9999"],
  ];
  for (const [text, side] of bad) {
    test(`${text} is refused by name`, () => {
      for (const [name, ask] of [
        ["since", readLogQuery],
        ["since", readMetricsQuery],
        ["until", readLogQuery],
        ["until", readMetricsQuery],
      ] as const) {
        const asked = url(`${name}=${encodeURIComponent(text)}`);
        assert.equal(
          complaint(() => ask(account, asked, NOW)),
          `${name}: "${text}" lies ${side}.`,
        );
      }
    });
  }

  test("the bounds themselves are times that can be written", () => {
    assert.equal(readTime("until", "20781d", NOW), NOW - 20_781 * 86_400_000);
    for (const text of ["1970-01-01", "9999-12-31T23:59:59.999Z"]) {
      const { sinceMs, untilMs } = readMetricsQuery(account, url(`until=${text}`), NOW);
      assert.ok(iso(sinceMs) <= iso(untilMs) && sinceMs >= 0, text);
    }
  });
});

describe("A question about logs", () => {
  test("has defaults", () => assert.deepEqual(readLogQuery(account, url(""), NOW), { account, limit: 100 }));

  test("carries every parameter", () => {
    const asked = url("since=10m&until=1m&worker=w&outcome=exception&kind=console&text=a%20b&limit=7&cursor=c");
    assert.deepEqual(readLogQuery(account, asked, NOW), {
      account,
      kind: "console",
      worker: "w",
      outcome: "exception",
      text: "a b",
      sinceMs: NOW - 600_000,
      untilMs: NOW - 60_000,
      limit: 7,
      cursor: "c",
    });
  });

  const bad: [query: string, complaint: RegExp][] = [
    ["since=1m&until=10m", /^since: must not be later than until/],
    ["since=2026-11-24T12:00:01Z", /^since: must not be later than now/],
    ["until=soon", /^until: must be an ISO 8601 time/],
    ["outcome=error", /^outcome: must be one of ok, exception, exceededCpu/],
    ["kind=log", /^kind: must be one of request, invocation, console, exception/],
    ["worker=", /^worker: must be 1 to 200 characters/],
    [`worker=${"w".repeat(201)}`, /^worker: /],
    [`text=${"t".repeat(201)}`, /^text: /],
    [`cursor=${"c".repeat(1001)}`, /^cursor: /],
    ["limit=0", /^limit: must be a whole number from 1 to 1000/],
    ["limit=1001", /^limit: /],
    ["limit=1.5", /^limit: /],
    ["limit=", /^limit: /],
    ["limit=1&limit=2", /^limit: given twice/],
    ["outcom=ok", /^"outcom": no such parameter here; there are worker, outcome/],
    ["__proto__=1", /no such parameter/],
  ];
  for (const [query, expected] of bad) {
    test(`${query.slice(0, 40)} is refused by name`, () =>
      assert.match(
        complaint(() => readLogQuery(account, url(query), NOW)),
        expected,
      ));
  }
});

describe("A stream of logs", () => {
  const asks = (query: string, accept?: string): boolean =>
    wantsFollow(new Request("http://x", { headers: { ...(accept !== undefined && { accept }) } }), url(query));

  test("is asked for by follow or Accept", () => {
    assert.equal(asks(""), false);
    assert.equal(asks("follow=true"), true);
    assert.equal(asks("", "text/event-stream"), true);
    assert.equal(asks("", "application/json, text/event-stream;q=0.9"), true);
    assert.equal(asks("follow=false", "text/event-stream"), false);
    assert.equal(asks("", "application/json"), false);
    assert.match(
      complaint(() => asks("follow=yes")),
      /^follow: must be true or false/,
    );
  });

  test("has filters and no pages", () => {
    assert.deepEqual(readFollowQuery(account, url("follow=true&worker=w&kind=request")), { account, worker: "w", kind: "request" });
    for (const name of ["since=1m", "until=1m", "limit=1", "cursor=c"]) {
      assert.match(
        complaint(() => readFollowQuery(account, url(name))),
        new RegExp(`^${name.split("=")[0]}: a stream begins now`),
      );
    }
  });
});

describe("A question about metrics", () => {
  test("is about the last hour unless told otherwise", () => {
    assert.deepEqual(readMetricsQuery(account, url(""), NOW), { account, sinceMs: NOW - 3_600_000, untilMs: NOW });
    assert.deepEqual(readMetricsQuery(account, url("until=1h"), NOW), { account, sinceMs: NOW - 7_200_000, untilMs: NOW - 3_600_000 });
  });

  test("is bounded", () => {
    assert.match(
      complaint(() => readMetricsQuery(account, url("since=25h"), NOW)),
      /^since: must be at most 24 hours before until/,
    );
    assert.match(
      complaint(() => readMetricsQuery(account, url("worker=x"), NOW)),
      /^"worker": no such parameter/,
    );
  });
});
