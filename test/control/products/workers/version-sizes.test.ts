// What an account's versions take in the database is bounded: control reads all of them at every deploy.
import assert from "node:assert/strict";
import { onBothDatabases } from "../../../fixtures/databases.ts";
import { deploy, openShop, upload } from "../../../fixtures/products.ts";

const MIB = 1_048_576;

onBothDatabases("The versions of an account", {
  "never take more of the database than their bound, the oldest that does not serve giving way": async (bench) => {
    const client = await openShop(bench, { uploadMaxBytes: 10 * MIB }).client();
    const size = async (): Promise<{ rows: number; bytes: number }> => {
      const rows = await bench.store.db.selectFrom("worker_versions").selectAll().execute();
      const bytes = rows.map(
        ({ code, exports, sealed, assets }) => code.length + exports.length + sealed.byteLength + (assets?.length ?? 0),
      );
      return { rows: rows.length, bytes: bytes.reduce((sum, one) => sum + one, 0) };
    };
    assert.equal((await deploy(client, "first")).status, 200);
    // Two blobs of a mebibyte less a little each: 2 MiB a version.
    const blobs = (mark: string) =>
      upload(
        {
          main_module: undefined,
          body_part: "w.js",
          bindings: ["A", "B"].map((name) => ({ type: "text_blob", name, part: `${name}.txt` })),
        },
        [
          ["w.js", "application/javascript", `addEventListener('fetch', () => {}); // ${mark} export default`],
          ["A.txt", "text/plain", "a".repeat(MIB)],
          ["B.txt", "text/plain", "b".repeat(MIB)],
        ],
      );
    for (let at = 0; at < 20; at++) {
      const answer = await client.call("PUT", "/workers/scripts/large", { body: blobs(String(at)) });
      assert.equal(answer.status, 200, answer.message);
    }
    const held = await size();
    assert.ok(held.bytes <= 32 * MIB && held.rows === 16, JSON.stringify(held));
    const { result } = await client.call("GET", "/workers/scripts/first/versions");
    assert.equal(result.items.length, 1, "what serves is never taken");
  },
  "are each refused beyond a bound that names what to shorten": async (bench) => {
    const client = await openShop(bench, { uploadMaxBytes: 10 * MIB }).client();
    const bindings = Array.from({ length: 120 }, (_, at) => ({ type: "plain_text", name: `T${at}`, text: "\u0001".repeat(5000) }));
    const parts = ["A", "B"].map((name) => ({ type: "text_blob", name, part: `${name}.txt` }));
    const body = upload({ main_module: undefined, body_part: "w.js", bindings: [...bindings, ...parts] }, [
      ["w.js", "application/javascript", "addEventListener('fetch', () => {});"],
      ["A.txt", "text/plain", "\u0001".repeat(MIB)],
      ["B.txt", "text/plain", "b"],
    ]);
    const answer = await client.call("PUT", "/workers/scripts/huge", { body });
    assert.deepEqual([answer.status, answer.code], [400, "quota_exceeded"]);
    assert.match(answer.message, /Shorten them/);
    assert.equal((await bench.store.db.selectFrom("workers").selectAll().execute()).length, 0);
  },
});
