// Compressing, under bounds: what is kept, what is refused, and what one account can take of another.
import assert from "node:assert/strict";
import { brotliDecompressSync } from "node:zlib";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { Compressor, type Job } from "../../../../src/host/edge/files/compressor.ts";
import { Shelf } from "../../../../src/host/edge/files/shelf.ts";
import { newAccountId, type AccountId } from "../../../../src/kernel/ids.ts";

const TEXT = Buffer.from("a line of text that repeats itself\n".repeat(2000));
const never = new AbortController().signal;

function job(compressor: Compressor, account: AccountId, tag: string, bytes = TEXT.length, ended = never): Job {
  const sought = compressor.seek(account, "br", tag, bytes, ended);
  assert.equal(sought.kind, "job");
  return sought.kind === "job" ? sought.job : assert.fail();
}

describe("The compressor", () => {
  test("compresses a file once, for all who ask meanwhile and later", async () => {
    const compressor = new Compressor();
    const account = newAccountId();
    const first = job(compressor, account, '"a"');
    const second = compressor.seek(account, "br", '"a"', TEXT.length, never);
    assert.ok(second.kind === "pending" && second.done === first.done);
    first.finish(TEXT);
    const kept = await first.done;
    assert.ok(kept?.bytes && brotliDecompressSync(kept.bytes).equals(TEXT));
    const third = compressor.seek(account, "br", '"a"', TEXT.length, never);
    assert.ok(third.kind === "kept" && third.kept === kept);
    assert.equal(compressor.seek(account, "gzip", '"a"', TEXT.length, never).kind, "job", "another encoding is another file");
  });

  test("gives one account nothing of another, though all they say is the same", async () => {
    const compressor = new Compressor();
    const mine = job(compressor, newAccountId(), '"a"');
    mine.finish(TEXT);
    await mine.done;
    job(compressor, newAccountId(), '"a"').abandon();
  });

  test("remembers that a file gets no smaller", async () => {
    const compressor = new Compressor();
    const account = newAccountId();
    const noise = randomBytes(5000);
    const tried = job(compressor, account, '"n"', noise.length);
    tried.finish(noise);
    assert.equal((await tried.done)?.bytes, null);
    assert.equal(compressor.find(account, "br", '"n"')?.bytes, null);
  });

  test("forgets a file that was not read to its end, and one that takes too long", async () => {
    const compressor = new Compressor({ readMs: 20 });
    const account = newAccountId();
    const broken = job(compressor, account, '"a"');
    broken.abandon();
    assert.equal(await broken.done, null);
    const slow = job(compressor, account, '"a"');
    assert.equal(await slow.done, null);
    job(compressor, account, '"a"').abandon();
  });

  test("takes no more in at once than its bytes, in all and of one account", async () => {
    const compressor = new Compressor({ pendingBytes: 250, accountPendingBytes: 100 });
    const [one, two, three] = [newAccountId(), newAccountId(), newAccountId()];
    const jobs = [job(compressor, one, '"a"', 100), job(compressor, two, '"a"', 100)];
    assert.equal(compressor.seek(one, "br", '"b"', 1, never).kind, "busy");
    assert.equal(compressor.seek(three, "br", '"a"', 51, never).kind, "busy");
    jobs.push(job(compressor, three, '"a"', 50));
    for (const each of jobs) each.abandon();
    await Promise.all(jobs.map((each) => each.done));
    job(compressor, one, '"b"', 100).abandon();
  });

  test("spends no more time than it has, in all and for one account, and time comes back", async () => {
    const clock = { ms: 0 };
    // Each look at the clock takes a while, so that each job does.
    const compressor = new Compressor({ mostMs: 1000, rate: 0.01, accountMostMs: 10, accountRate: 0.01 }, () => (clock.ms += 50));
    const [one, two] = [newAccountId(), newAccountId()];
    const spent = job(compressor, one, '"a"');
    spent.finish(TEXT);
    await spent.done;
    assert.equal(compressor.seek(one, "br", '"b"', 10, never).kind, "busy");
    assert.equal(compressor.seek(one, "br", '"a"', 10, never).kind, "kept", "what is there is still served");
    job(compressor, two, '"b"', 10).abandon();
    clock.ms += 10_000;
    job(compressor, one, '"b"', 10).abandon();
    const small = new Compressor({ mostMs: 10, rate: 0.001 }, () => (clock.ms += 50));
    const last = job(small, one, '"a"');
    last.finish(TEXT);
    await last.done;
    assert.equal(small.seek(two, "br", '"a"', 10, never).kind, "busy");
  });

  test("keeps nothing of an account that has ended, also of a file that was under way", async () => {
    const compressor = new Compressor();
    const account = newAccountId();
    const end = new AbortController();
    const [kept, late] = [job(compressor, account, '"a"', 10, end.signal), job(compressor, account, '"b"', 10, end.signal)];
    kept.finish(TEXT);
    await kept.done;
    assert.ok(compressor.shelf.bytes > 0);
    end.abort();
    late.finish(TEXT);
    assert.equal(await late.done, null);
    assert.equal(compressor.shelf.bytes, 0);
    assert.equal(compressor.seek(account, "br", '"a"', 10, end.signal).kind, "busy");
  });
});

describe("The shelf of compressed files", () => {
  const bytes = Buffer.alloc(10_000 - 1024);

  test("lets the least recently used go, the account's own first", () => {
    const shelf = new Shelf(40_000, 20_000);
    const [one, two] = [newAccountId(), newAccountId()];
    for (const key of ["a", "b"]) assert.ok(shelf.put(one, key, bytes));
    shelf.find(one, "a");
    assert.ok(shelf.put(one, "c", bytes));
    assert.deepEqual([shelf.find(one, "a") !== undefined, shelf.find(one, "b"), shelf.bytes], [true, undefined, 20_000]);
    for (const key of ["a", "b"]) assert.ok(shelf.put(two, key, bytes));
    const three = newAccountId();
    assert.ok(shelf.put(three, "a", bytes));
    assert.equal(shelf.find(one, "c"), undefined, "the oldest of all");
    assert.equal(shelf.bytes, 40_000);
  });

  test("counts what is on its way until it has arrived, and takes nothing in beyond its bound meanwhile", () => {
    const shelf = new Shelf(20_000, 20_000);
    const [one, two] = [newAccountId(), newAccountId()];
    const kept = ["a", "b"].map((key) => shelf.put(one, key, bytes) ?? assert.fail());
    const arrived = kept.map((each) => shelf.hold(each));
    assert.equal(shelf.put(two, "a", bytes), null);
    shelf.clear(one);
    assert.deepEqual([shelf.find(one, "a"), shelf.bytes], [undefined, 20_000]);
    assert.equal(shelf.put(two, "a", bytes), null);
    arrived[0]?.();
    arrived[0]?.();
    assert.equal(shelf.bytes, 10_000);
    assert.ok(shelf.put(two, "a", bytes));
    arrived[1]?.();
    assert.equal(shelf.bytes, 10_000);
  });

  test("refuses what is larger than an account's share, and holds as many entries as they cost", () => {
    const shelf = new Shelf(100_000, 10_240);
    const account = newAccountId();
    assert.equal(shelf.put(account, "large", Buffer.alloc(10_240)), null);
    for (let at = 0; at < 100; at++) assert.ok(shelf.put(account, `none ${at}`, null));
    assert.equal(shelf.bytes, 10_240);
    assert.ok(shelf.put(account, "none 99", bytes.subarray(0, 100)));
    assert.ok(shelf.bytes <= 10_240);
  });
});
