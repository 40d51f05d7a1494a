// When an account's directory is measured, by what real processes write.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { DiskWatch } from "../../../../src/host/capsules/supervisor/disk-watch.ts";
import { Gate } from "../../../../src/host/capsules/supervisor/gates.ts";
import { newAccountId } from "../../../../src/kernel/ids.ts";
import { awaitUntil } from "../../../fixtures/await-until.ts";

const MB = 1_000_000;

/** A process that has written so much; nothing of it is on disk. */
async function writing(bytes: number) {
  const program = `require("fs").writeSync(require("fs").openSync("/dev/null", "w"), Buffer.alloc(${bytes})); console.log("written"); process.stdin.resume();`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const { pid = 0 } = child;
  return {
    pid,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

test("processes that follow each other write no more unmeasured than one could", async (t) => {
  if (process.platform !== "linux") return t.skip("only Linux tells what a process writes");
  const { signal } = new AbortController();
  let measured = 0;
  const allowance = {
    diskBytes: null as number | null,
    maxDiskBytes: 100 * MB,
    mostDiskBytes: 110 * MB,
    measured: (bytes: number) => {
      allowance.diskBytes = bytes;
      measured++;
    },
  };
  const files = { diskBytes: () => Promise.resolve(0) };
  const watch = new DiskWatch(newAccountId(), allowance, { files, walks: new Gate(1) });
  {
    await using none = await writing(0);
    await watch.look(none, signal);
    assert.equal(measured, 1);
  }
  {
    await using first = await writing(60 * MB);
    await watch.look(first, signal);
  }
  await using second = await writing(60 * MB);
  const looked = async (): Promise<boolean> => {
    await watch.look(second, signal);
    return measured === 2;
  };
  await awaitUntil(looked, { what: "it is measured again", deadlineMs: 30_000, everyMs: 100 });
});
