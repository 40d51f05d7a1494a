import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmod, lstat, mkdir, mkdtemp, open, readFile, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, test, type TestContext } from "node:test";
import type { AssetsService, CapsuleSpec } from "../../../../src/capsule/spec.ts";
import { AccountFiles, PRUNE_GRACE_MS } from "../../../../src/host/capsules/files/files.ts";
import { contentTimeSeconds, treePath } from "../../../../src/host/capsules/files/tree.ts";
import { systemClock } from "../../../../src/kernel/clock.ts";
import { PlatformError, type ErrorCode } from "../../../../src/kernel/errors.ts";
import { newAccountId } from "../../../../src/kernel/ids.ts";
import { LIMITS } from "../../../fixtures/limits.ts";

const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
const isRoot = process.getuid?.() === 0;

async function scene(t: TestContext, maxDiskBytes = 10_000_000) {
  const data = await mkdtemp(join(tmpdir(), "mayfly-files-"));
  t.after(() => rm(data, { recursive: true, force: true }));
  let skewMs = 0;
  const clock = { now: () => systemClock.now() + skewMs };
  return {
    data,
    files: new AccountFiles({ data, clock, maxDiskBytes }),
    account: newAccountId(),
    pass: (ms: number) => void (skewMs += ms),
  };
}

const refused = (code: ErrorCode) => (error: unknown) => error instanceof PlatformError && error.code === code;

type Spec = Pick<CapsuleSpec, "account" | "keep" | "units" | "limits">;

function specWith(
  account: CapsuleSpec["account"],
  files: AssetsService["files"],
  keep: CapsuleSpec["keep"] = { code: [], assets: [] },
): Spec {
  const assets: AssetsService = { kind: "assets", id: "a-1", origin: null, files, config: "{}", worker: null };
  const limits = { ...LIMITS, maxDiskBytes: 10_000_000 };
  return { account, keep, units: [{ id: "u", services: files.length === 0 ? [] : [assets], fronts: [], ingress: [] }], limits };
}

describe("putting a file", () => {
  test("bytes are there under their hash, whole, and nothing else is", async (t) => {
    const { files, account } = await scene(t);
    const bytes = randomBytes(300_000);
    const hash = sha256(bytes);
    assert.deepEqual(await files.missing(account, "code", [hash]), [hash]);
    await files.put(account, "code", hash, Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]));
    assert.deepEqual(await files.missing(account, "code", [hash]), []);
    assert.deepEqual(Buffer.from(await files.readCode(account, hash)), bytes);
    assert.deepEqual(await readdir(join(files.directory(account), "code")), [hash]);
  });

  test("repeating it is harmless, also at the same time", async (t) => {
    const { files, account } = await scene(t);
    const hash = sha256("again");
    await Promise.all([1, 2, 3, 4].map(() => files.put(account, "assets", hash, Buffer.from("again"))));
    await files.put(account, "assets", hash, Buffer.from("again"));
    assert.deepEqual(await readdir(join(files.directory(account), "assets", "h")), [hash]);
  });

  test("other bytes than the hash names are refused and leave nothing, whether or not the file is there", async (t) => {
    const { files, account } = await scene(t);
    const hash = sha256("right");
    const put = (text: string) => files.put(account, "code", hash, Buffer.from(text));
    await assert.rejects(put("wrong"), refused("invalid_input"));
    assert.deepEqual(await readdir(join(files.directory(account), "code")), []);
    await put("right");
    await assert.rejects(put("wrong"), refused("invalid_input"));
    assert.equal(Buffer.from(await files.readCode(account, hash)).toString(), "right");
  });

  test("a name that is no hash is refused", async (t) => {
    const { files, account } = await scene(t);
    for (const name of ["../x", "..", "", "A".repeat(64), `${sha256("")}/..`]) {
      await assert.rejects(files.put(account, "code", name, Buffer.from("")), refused("invalid_input"));
    }
  });

  test("a stream that breaks off leaves nothing", async (t) => {
    const { files, account } = await scene(t);
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from("half");
        throw new Error("gone");
      })(),
    );
    await assert.rejects(files.put(account, "code", sha256("half and half"), broken), refused("capsule_failed"));
    assert.deepEqual(await readdir(join(files.directory(account), "code")), []);
  });

  test("the account's disk limit is never passed by an upload", async (t) => {
    const { files, account } = await scene(t, 200_000);
    const [small, large] = [randomBytes(100_000), randomBytes(100_000)];
    await files.put(account, "code", sha256(small), small);
    await assert.rejects(files.put(account, "assets", sha256(large), large), refused("quota_exceeded"));
    assert.deepEqual(await files.missing(account, "assets", [sha256(large)]), [sha256(large)]);
  });

  test("a file system that fails is reported as such, with its cause, and works again afterwards", async (t) => {
    const { data, files, account } = await scene(t);
    await writeFile(join(data, "accounts"), "in the way");
    await assert.rejects(
      files.put(account, "code", sha256("x"), Buffer.from("x")),
      (error) =>
        error instanceof PlatformError && error.code === "capsule_failed" && (error.cause as NodeJS.ErrnoException).code === "ENOTDIR",
    );
    await rm(join(data, "accounts"));
    await files.put(account, "code", sha256("x"), Buffer.from("x"));
  });

  test("a full disk is told as such, leaves no part of a file, and nothing acknowledged is lost", async (t) => {
    if (!isRoot) return t.skip("needs root: mounting a small tmpfs");
    const { data, files, account } = await scene(t);
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", data]).status !== 0) {
      return t.skip("needs the right to mount a tmpfs");
    }
    try {
      const [small, large] = [randomBytes(50_000), randomBytes(400_000)];
      await files.put(account, "code", sha256(small), small);
      await assert.rejects(files.put(account, "code", sha256(large), large), (error) => {
        return error instanceof PlatformError && error.code === "capsule_failed" && /disk of this installation is full/.test(error.message);
      });
      assert.deepEqual(await readdir(join(files.directory(account), "code")), [sha256(small)]);
      assert.deepEqual(Buffer.from(await files.readCode(account, sha256(small))), small);
    } finally {
      spawnSync("umount", ["-l", data]);
    }
  });

  test("a link in the place of a file is never followed", async (t) => {
    const { data, files, account } = await scene(t);
    const hash = sha256("secret");
    await files.prepare(account);
    await writeFile(join(data, "elsewhere"), "secret");
    await symlink(join(data, "elsewhere"), join(files.directory(account), "code", hash));
    await assert.rejects(files.readCode(account, hash), refused("capsule_failed"));
  });

  test("code that changed on disk is not run", async (t) => {
    const { files, account } = await scene(t);
    const hash = sha256("one");
    await files.put(account, "code", hash, Buffer.from("one"));
    await writeFile(join(files.directory(account), "code", hash), "two");
    await assert.rejects(files.readCode(account, hash), refused("capsule_failed"));
  });
});

describe("laying out assets", () => {
  const page = Buffer.from("<h1>hi</h1>");
  const hash = sha256(page);

  test("files appear at their paths as regular files whose times come from their content", async (t) => {
    const { files, account } = await scene(t);
    await files.put(account, "assets", hash, page);
    const listed = [
      { path: "/index.html", hash },
      { path: "/a/b/c.html", hash },
      { path: "/ünï cödé.html", hash },
    ];
    const spec = specWith(account, listed);
    await files.materialise(spec);
    await files.materialise(spec);
    const root = join(files.directory(account), "assets", treePath({ files: listed }));
    for (const file of listed) {
      const stats = await lstat(root + file.path);
      assert.ok(stats.isFile());
      assert.equal(Math.round(stats.mtimeMs / 1000), contentTimeSeconds(hash));
      assert.deepEqual(await readFile(root + file.path), page);
    }
    assert.equal((await readdir(join(files.directory(account), "assets", "v"))).length, 1);
  });

  test("made twice at once, there is one tree", async (t) => {
    const { files, account } = await scene(t);
    await files.put(account, "assets", hash, page);
    const spec = specWith(account, [{ path: "/x/index.html", hash }]);
    await Promise.all([1, 2, 3, 4].map(() => files.materialise(spec)));
    assert.equal((await readdir(join(files.directory(account), "assets", "v"))).length, 1);
  });

  test("a path that would leave the tree or clash is refused and makes nothing", async (t) => {
    const { files, account } = await scene(t);
    await files.put(account, "assets", hash, page);
    for (const path of ["/../../state/x", "/a/../../b", "/a\\b", "/a//b", "/nul\0", "/", "/./x", `/${"é".repeat(128)}`]) {
      await assert.rejects(files.materialise(specWith(account, [{ path, hash }])), refused("invalid_input"), path);
    }
    const clash = [
      { path: "/a", hash },
      { path: "/a/b", hash },
    ];
    await assert.rejects(files.materialise(specWith(account, clash)), refused("invalid_input"));
    assert.deepEqual(await readdir(join(files.directory(account), "assets", "v")), []);
  });

  test("bytes that are not there are told by path, and no half tree stays", async (t) => {
    const { files, account } = await scene(t);
    await files.put(account, "assets", hash, page);
    const spec = specWith(account, [
      { path: "/here.html", hash },
      { path: "/gone.html", hash: sha256("gone") },
    ]);
    await assert.rejects(
      files.materialise(spec),
      (error) => refused("capsule_failed")(error) && /\/gone\.html/.test((error as Error).message),
    );
    assert.deepEqual(await readdir(join(files.directory(account), "assets", "v")), []);
  });
});

describe("pruning", () => {
  const put = async (files: AccountFiles, account: CapsuleSpec["account"], kind: "code" | "assets", text: string) => {
    await files.put(account, kind, sha256(text), Buffer.from(text));
    return sha256(text);
  };

  test("what no version holds goes once the grace is over, and what is held stays", async (t) => {
    const { files, account, pass } = await scene(t);
    const [kept, dropped] = [await put(files, account, "code", "kept"), await put(files, account, "code", "dropped")];
    const [page, old] = [await put(files, account, "assets", "page"), await put(files, account, "assets", "old")];
    await files.materialise(specWith(account, [{ path: "/old.html", hash: old }]));
    const spec = specWith(account, [{ path: "/index.html", hash: page }], { code: [kept], assets: [page] });
    await files.materialise(spec);
    await files.prune(spec);
    assert.deepEqual(await files.missing(account, "code", [kept]), [], "within the grace nothing goes");
    assert.deepEqual(await files.missing(account, "assets", [old]), []);
    pass(PRUNE_GRACE_MS + 1000);
    await files.prune(spec);
    assert.deepEqual(await files.missing(account, "code", [kept, dropped]), [dropped]);
    assert.deepEqual(await files.missing(account, "assets", [page, old]), [old]);
    assert.equal((await readdir(join(files.directory(account), "assets", "v"))).length, 1);
  });

  test("a file that an upload was told it need not send again is safe from then on", async (t) => {
    const { files, account, pass } = await scene(t);
    const hash = await put(files, account, "assets", "asked for");
    pass(PRUNE_GRACE_MS - 1000);
    assert.deepEqual(await files.missing(account, "assets", [hash]), []);
    pass(2000);
    await files.prune(specWith(account, []));
    assert.deepEqual(await files.missing(account, "assets", [hash]), []);
  });

  test("what a crashed upload left behind goes with the grace", async (t) => {
    const { files, account, pass } = await scene(t);
    await files.prepare(account);
    await writeFile(join(files.directory(account), "code", ".tmp-0123"), "left");
    pass(PRUNE_GRACE_MS + 1000);
    await files.prune(specWith(account, []));
    assert.deepEqual(await readdir(join(files.directory(account), "code")), []);
  });
});

describe("erasing", () => {
  test("nothing of the account is left, a second time finds nothing, and later uploads are refused", async (t) => {
    const { data, files, account } = await scene(t);
    const hash = sha256("planted");
    await files.put(account, "assets", hash, Buffer.from("planted"));
    await files.materialise(specWith(account, [{ path: "/deep/er/index.html", hash }]));
    await files.erase(account);
    await files.erase(account);
    assert.deepEqual(await readdir(join(data, "accounts")), []);
    await assert.rejects(files.put(account, "assets", hash, Buffer.from("planted")), refused("account_gone"));
    assert.deepEqual(await readdir(join(data, "accounts")), []);
  });

  test("an account that never had files erases too", async (t) => {
    const { files, account } = await scene(t);
    await files.erase(account);
  });

  test("an upload under way is cut and leaves nothing", { timeout: 10_000 }, async (t) => {
    const { data, files, account } = await scene(t);
    const stuck = new Readable({ read() {} });
    stuck.push("the first part");
    const upload = assert.rejects(files.put(account, "code", sha256("never"), stuck), refused("capsule_failed"));
    while ((await files.diskBytes(account)) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await files.erase(account);
    await upload;
    assert.deepEqual(await readdir(join(data, "accounts")), []);
  });

  test("directories nested past the longest path go too", { skip: process.platform !== "linux" && "needs /proc/self/fd" }, async (t) => {
    const { files, account, data } = await scene(t);
    await files.prepare(account);
    // As a process does that goes from directory to directory: each is made below the one that is open.
    let at = await open(join(files.directory(account), "state"), "r");
    for (let depth = 0; depth < 30; depth++) {
      const child = `/proc/self/fd/${at.fd}/${"x".repeat(200)}`;
      await mkdir(child);
      const next = await open(child, "r");
      await at.close();
      at = next;
    }
    await at.close();
    await files.erase(account);
    assert.deepEqual(await readdir(join(data, "accounts")), []);
  });

  test("a link inside the account is removed, never what it points to", async (t) => {
    const { data, files, account } = await scene(t);
    await files.prepare(account);
    await mkdir(join(data, "precious"));
    await writeFile(join(data, "precious", "file"), "still here");
    await symlink(join(data, "precious"), join(files.directory(account), "state", "out"));
    await files.erase(account);
    assert.equal(await readFile(join(data, "precious", "file"), "utf8"), "still here");
  });
});

describe("size and ownership", () => {
  test("a file with several names counts once", async (t) => {
    const { files, account } = await scene(t);
    const bytes = randomBytes(400_000);
    const hash = sha256(bytes);
    await files.put(account, "assets", hash, bytes);
    await files.materialise(
      specWith(
        account,
        [1, 2, 3].map((n) => ({ path: `/${n}.bin`, hash })),
      ),
    );
    const used = await files.diskBytes(account);
    assert.ok(used >= 400_000 && used < 600_000, String(used));
  });

  test("a capsule's user may read assets, old and new, and own state, and never reads code", async (t) => {
    if (!isRoot) return t.skip("needs root: own user ids for capsules");
    const { data, files, account } = await scene(t);
    const [early, late] = [sha256("early"), sha256("late")];
    await files.put(account, "assets", early, Buffer.from("early"));
    await files.setOwner(account, 61_234);
    await files.put(account, "assets", late, Buffer.from("late"));
    await files.put(account, "code", late, Buffer.from("late"));
    const listed = [
      { path: "/a/early.txt", hash: early },
      { path: "/a/b/late.txt", hash: late },
    ];
    await files.materialise(specWith(account, listed));
    await files.setOwner(account, 61_234);
    await chmod(data, 0o711);
    const root = join(files.directory(account), "assets", treePath({ files: listed }));
    const mayRead = (path: string): boolean => {
      return spawnSync("/bin/cat", [path], { uid: 61_234, gid: 61_234 }).status === 0;
    };
    assert.ok(mayRead(`${root}/a/early.txt`));
    assert.ok(mayRead(`${root}/a/b/late.txt`));
    assert.equal(mayRead(join(files.directory(account), "code", late)), false);
    const state = await lstat(join(files.directory(account), "state"));
    assert.deepEqual([state.uid, state.gid, state.mode & 0o7777], [61_234, 61_234, 0o700]);
    const top = await lstat(files.directory(account));
    assert.deepEqual([top.uid, top.gid, top.mode & 0o7777], [0, 61_234, 0o750]);
  });

  test("reading a file does not end its grace early", async (t) => {
    const { files, account } = await scene(t);
    const hash = sha256("read me");
    await files.put(account, "code", hash, Buffer.from("read me"));
    const path = join(files.directory(account), "code", hash);
    await utimes(path, 0, 0);
    await files.missing(account, "code", [hash]);
    await files.prune(specWith(account, []));
    assert.deepEqual(await files.missing(account, "code", [hash]), []);
  });
});
