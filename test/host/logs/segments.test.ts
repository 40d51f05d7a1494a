// A log's files on a disk that fails for a while: what failed once must not silence the log, nor cost anything for good.
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { Segments } from "../../../src/host/logs/segments.ts";
import { limitFiles } from "../../fixtures/file-limit.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const LINE = '{"kind":"console","atMs":1}';

const descriptors = (): number => readdirSync("/proc/self/fd").length;

async function place(t: TestContext): Promise<string> {
  const directory = await temporaryDirectory("segments");
  t.after(() => directory[Symbol.asyncDispose]());
  return join(directory.path, "logs");
}

function open(t: TestContext, directory: string): { segments: Segments; troubles: unknown[] } {
  const troubles: unknown[] = [];
  const onTrouble = (error: unknown): void => void troubles.push(error);
  const segments = new Segments({ directory, maxBytes: 65_536, now: () => 1_000, onTrouble, after: Promise.resolve() });
  t.after(() => segments.close(false));
  return { segments, troubles };
}

describe("the files of a log", () => {
  test("are opened again after a failure, what it cost counted", async (t) => {
    const directory = await place(t);
    await writeFile(directory, "not a directory");
    const { segments, troubles } = open(t, directory);
    segments.append(LINE, 1);
    await assert.rejects(segments.list(), { code: "ENOTDIR" });
    assert.equal(troubles.length, 1);
    await rm(directory);
    segments.append(LINE, 1);
    assert.deepEqual(
      (await segments.list()).map(({ bytes }) => bytes),
      [LINE.length + 1],
    );
    assert.deepEqual(segments.dropped, { records: 1, untilMs: 1_000 });
  });

  for (const nonsense of ["null", "7", "[]", '{"records":"many","untilMs":1}', '{"records":3,"untilMs":1e300}', '{"rec']) {
    test(`are read beside a count of what was dropped that says ${nonsense}`, async (t) => {
      const directory = await place(t);
      await mkdir(directory);
      await writeFile(join(directory, "dropped.json"), nonsense);
      const { segments, troubles } = open(t, directory);
      segments.append(LINE, 1);
      assert.equal((await segments.list()).length, 1);
      assert.deepEqual([troubles, segments.dropped], [[], null]);
    });
  }

  test("leave no descriptor behind while the disk is full", { skip: process.platform !== "linux" }, async (t) => {
    const directory = await place(t);
    await mkdir(directory);
    const cut = LINE.slice(0, 20);
    await writeFile(join(directory, "00000001.ndjson"), cut);
    const { segments, troubles } = open(t, directory);
    const flush = async (): Promise<void> => {
      segments.append(LINE, 1);
      await segments.flush();
    };
    {
      using _full = limitFiles(cut.length);
      await flush();
      const before = descriptors();
      for (let at = 0; at < 20; at++) await flush();
      assert.equal(descriptors(), before);
    }
    assert.equal(troubles.length, 1, "the operator is told once");
    await flush();
    assert.equal(await readFile(join(directory, "00000001.ndjson"), "utf8"), `${cut}\n${LINE}\n`);
    assert.equal(segments.dropped?.records, 21);
  });

  test("know after a restart what was lost though no file gave way", async (t) => {
    const directory = await place(t);
    const first = open(t, directory).segments;
    first.append(LINE, 1);
    await first.flush();
    first.lose(3);
    await first.close(true);
    const second = open(t, directory).segments;
    await second.list();
    assert.deepEqual(second.dropped, { records: 3, untilMs: 1_000 });
    second.lose(2);
    second.append(LINE, 1);
    await second.flush();
    const third = open(t, directory).segments;
    await third.list();
    assert.deepEqual(third.dropped, { records: 5, untilMs: 1_000 });
  });

  test("of an account that ends say nothing any more of what was lost", async (t) => {
    const directory = await place(t);
    const { segments } = open(t, directory);
    segments.lose(3);
    await segments.close(false);
    assert.ok(!existsSync(directory));
  });
});
