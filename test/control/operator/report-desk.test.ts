// What visitors reported, as an operator reads and closes it: on the page and by script, on both databases.
import assert from "node:assert/strict";
import { fileReport } from "../../../src/control/operator/reports.ts";
import { openTrail } from "../../../src/control/trail/trail.ts";
import { newId, type Subdomain } from "../../../src/kernel/ids.ts";
import { onBothDatabases } from "../../fixtures/databases.ts";
import { deedsOf, openOps, type Ops } from "../../fixtures/operator.ts";

type Line = {
  readonly id: string;
  readonly account_id: string | null;
  readonly host: string;
  readonly kind: string;
  readonly state: string;
  readonly page: string | null;
  readonly text: string | null;
  readonly contact: string | null;
};

async function report({ control }: Ops, subdomain: string, text = "It <b>asks</b> for my card."): Promise<void> {
  const { store, keys } = control;
  const host = `bank--${subdomain}.mayfly.localhost`;
  const draft = { host, subdomain: subdomain as Subdomain, kind: "phishing", page: "/login", text, contact: "ada@example.com" } as const;
  await fileReport({ store, keys, trail: openTrail(store.db, keys) }, draft);
}

onBothDatabases("the operator's reports", {
  "are read and closed by script, with the key named in the trail": async (bench) => {
    await using ops = await openOps(bench);
    const { id, subdomain } = await ops.tenant();
    await report(ops, subdomain);
    ops.clock.advance(1000);
    await report(ops, "no-such-xxxxx");
    const [reader, bearer] = [await ops.makeKey("read"), await ops.makeKey("full")];
    const listed = await ops.call<Line[]>("GET", "/operator/reports?per_page=1&page=2", { bearer: reader });
    assert.deepEqual([listed.status, listed.info.total_count, listed.result.length], [200, 2, 1]);
    const [line] = listed.result;
    assert.ok(line);
    const { account_id: account, host, kind, state, page, text, contact } = line;
    assert.deepEqual([account, host, kind, state], [id, `bank--${subdomain}.mayfly.localhost`, "phishing", "open"]);
    assert.deepEqual([page, text, contact], ["/login", "It <b>asks</b> for my card.", "ada@example.com"]);
    const seen = async (): Promise<number> =>
      (await ops.call<{ open_reports: number }>("GET", `/operator/accounts/${id}`, { bearer: reader })).result.open_reports;
    assert.equal(await seen(), 1);

    const close = (key: string, of = line.id) => ops.call("POST", `/operator/reports/${of}/close`, { bearer: key });
    assert.equal((await close(reader)).status, 403);
    assert.equal(await seen(), 1);
    assert.deepEqual([(await close(bearer)).status, (await close(bearer)).status, await seen()], [200, 200, 0]);
    const unknown = await close(bearer, newId());
    assert.deepEqual([unknown.status, unknown.code], [404, "report_not_found"]);
    const left = await ops.call<Line[]>("GET", "/operator/reports", { bearer });
    assert.deepEqual(
      left.result.map(({ account_id }) => account_id),
      [null],
    );
    const closings = await deedsOf(ops, "report:close");
    assert.deepEqual([closings.length, closings[0]?.actors, closings[0]?.account], [1, [`person/${ops.person}`], id]);
    assert.match(closings[0]?.token ?? "", /^[0-9a-f]{32}$/);
    ops.clock.advance(1000);
    const [orphan] = left.result;
    assert.equal((await close(bearer, orphan?.id)).status, 200);
    const [, second] = await deedsOf(ops, "report:close");
    assert.deepEqual([second?.actors, second?.account, second?.resource], [[`person/${ops.person}`], null, `report/${orphan?.id}`]);
  },

  "stand on a page and beside their account, in strangers' words, until a click closes them": async (bench) => {
    await using ops = await openOps(bench);
    const { id, subdomain } = await ops.tenant();
    assert.match((await ops.visit("/operations/reports")).text, /None\./);
    await report(ops, subdomain);
    const { text } = await ops.visit("/operations/reports");
    assert.match(text, /phishing[\s\S]*\/login[\s\S]*It &lt;b&gt;asks&lt;\/b&gt; for my card\.[\s\S]*ada@example\.com/);
    assert.ok(text.includes(`href="/operations/accounts/${id}"`));
    assert.match((await ops.visit("/operations")).text, /Reports<\/dt>\s*<dd>\s*<strong>1<\/strong>/);
    const [closing, path] =
      /action="(\/operations\/reports\/[0-9a-f]{32}\/close)"/.exec((await ops.visit(`/operations/accounts/${id}`)).text) ?? [];
    assert.ok(closing && path);
    const elsewhere = { form: { back: "/operations" }, headers: { origin: "https://evil.example" } };
    assert.equal((await ops.visit(path, elsewhere)).status, 403);
    const closed = await ops.visit(path, { form: { back: `/operations/accounts/${id}` } });
    assert.deepEqual([closed.status, closed.headers.get("location")], [303, `/operations/accounts/${id}`]);
    const again = await ops.visit(path, { form: { back: "//evil.example" } });
    assert.deepEqual([again.status, again.headers.get("location")], [303, "/operations/reports"]);
    assert.match((await ops.visit("/operations/reports")).text, /None\./);
    assert.match((await ops.visit(`/operations/accounts/${id}`)).text, /phishing[\s\S]*, closed/);
  },

  "are all on the pages of a script, however large it asks for them": async (bench) => {
    await using ops = await openOps(bench);
    const bearer = await ops.makeKey("read");
    for (let at = 0; at < 7; at++) {
      const { subdomain } = await ops.tenant();
      for (let times = 0; times < 100; times++) await report(ops, subdomain);
    }
    const seen = new Set<string>();
    for (const page of [1, 2]) {
      const { result } = await ops.call<Line[]>("GET", `/operator/reports?per_page=600&page=${page}`, { bearer });
      for (const { id } of result) seen.add(id);
    }
    assert.equal(seen.size, 700);
  },

  "fill pages that lead on, a hundred at a time": async (bench) => {
    await using ops = await openOps(bench);
    const [one, other] = [await ops.tenant(), await ops.tenant()];
    for (let at = 0; at < 100; at++) await report(ops, one.subdomain, "older");
    ops.clock.advance(1000);
    await report(ops, other.subdomain, "newest");
    const first = (await ops.visit("/operations/reports")).text;
    assert.match(first, /newest[\s\S]*1 to 100 of 101[\s\S]*href="\/operations\/reports\?from=100"/);
    const second = (await ops.visit("/operations/reports?from=100")).text;
    assert.match(second, /older[\s\S]*101 to 101 of 101/);
    assert.ok(!second.includes("newest"));
  },
});
