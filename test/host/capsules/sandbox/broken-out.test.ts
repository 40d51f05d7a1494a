// A process that was taken over, on every rung: what it leaves in its directory, how much it writes, whom it can touch,
// and that nothing of it lives on. A native program stands in for workerd.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { diskUsage } from "../../../../src/host/capsules/files/disk.ts";
import { eraseTree } from "../../../../src/host/capsules/files/durable.ts";
import { native, type Native } from "./native.ts";
import { LIMITS, processesWith } from "./site.ts";

const PROGRAM = `
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
static void say(const char *what, long r) { printf("%s %d\\n", what, r >= 0 ? 0 : errno); }
int main(int argc, char **argv) {
  char ignored; while (read(0, &ignored, 1) > 0);
  signal(SIGXFSZ, SIG_IGN);
  const char *state = argv[2];
  if (!strcmp(argv[1], "limits")) {
    struct rlimit l;
    int of[] = { RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_STACK }; const char *name[] = { "core", "nofile", "fsize", "stack" };
    for (int i = 0; i < 4; i++) { getrlimit(of[i], &l); printf("%s %lld %lld\\n", name[i], (long long)l.rlim_cur, (long long)l.rlim_max); }
    l.rlim_cur = l.rlim_max = RLIM_INFINITY; say("raise", setrlimit(RLIMIT_FSIZE, &l));
  } else if (!strcmp(argv[1], "write")) {
    if (chdir(state)) { }
    char *p; asprintf(&p, "%s/large", state);
    int fd = open(p, O_CREAT | O_WRONLY, 0600);
    static char buffer[1 << 20]; long long written = 0; long r;
    while ((r = write(fd, buffer, sizeof buffer)) > 0) written += r;
    printf("written %lld errno %d\\n", written, errno);
    say("sparse", ftruncate(fd, 1LL << 40));
    say("allocate", fallocate(fd, 0, 0, 1LL << 40));
  } else if (!strcmp(argv[1], "litter")) {
    char *p; asprintf(&p, "%s", state); char before[4096];
    asprintf(&p, "%s/link", state); say("symlink", symlink(argv[3], p));
    asprintf(&p, "%s/fifo", state); say("fifo", mkfifo(p, 0666));
    asprintf(&p, "%s/device", state); say("device", mknod(p, S_IFCHR | 0666, 0x103));
    asprintf(&p, "%s/a\\nb\\xff\\x1b[2J", state); say("odd", open(p, O_CREAT | O_WRONLY, 0600));
    asprintf(&p, "%s/setuid", state); int fd = open(p, O_CREAT | O_WRONLY, 0600); say("setuid", fchmod(fd, 06777));
    asprintf(&p, "%s/sock", state); struct sockaddr_un a = { AF_UNIX }; strncpy(a.sun_path, p, 100);
    say("socket", bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, sizeof a));
    asprintf(&p, "%s/hard", state); char *q; asprintf(&q, "%s/setuid", state); say("hard", linkat(AT_FDCWD, q, AT_FDCWD, p, 0));
    int at = open(state, O_RDONLY | O_DIRECTORY);
    char name[201]; memset(name, 'd', 200); name[200] = 0;
    for (int i = 0; i < 100 && at >= 0; i++) { mkdirat(at, name, 0700); int next = openat(at, name, O_RDONLY | O_DIRECTORY); close(at); at = next; }
    if (at >= 0) { mkdirat(at, "closed", 0700); int c = openat(at, "closed", O_RDONLY | O_DIRECTORY); openat(c, "file", O_CREAT | O_WRONLY, 0600); say("close", fchmod(c, 0)); }
    asprintf(&p, "%s/shut", state); mkdir(p, 0700); int c = open(p, O_RDONLY | O_DIRECTORY); openat(c, "file", O_CREAT | O_WRONLY, 0600); fchmod(c, 0);
  } else if (!strcmp(argv[1], "run")) {
    char *p; asprintf(&p, "%s/program", state);
    int in = open(argv[3], O_RDONLY), out = open(p, O_CREAT | O_WRONLY, 0700);
    static char buffer[1 << 16]; long r; while ((r = read(in, buffer, sizeof buffer)) > 0) if (write(out, buffer, r) < 0) break;
    fchmod(out, 0755); close(out);
    char *words[] = { p, "ran", 0 }; execve(p, words, 0); say("run", -1);
  } else if (!strcmp(argv[1], "ran")) {
    printf("it ran\\n");
  } else if (!strcmp(argv[1], "touch")) {
    int pid = atoi(argv[3]); char *p;
    asprintf(&p, "/proc/%d/environ", pid); say("environ", open(p, O_RDONLY));
    asprintf(&p, "/proc/%d/mem", pid); say("mem", open(p, O_RDWR));
    asprintf(&p, "/proc/%d/root/etc/passwd", pid); say("root", open(p, O_RDONLY));
    asprintf(&p, "/proc/%d/fd/0", pid); say("fd", open(p, O_RDONLY));
    say("kernel", open("/proc/sys/kernel/core_pattern", O_WRONLY));
    say("sys", open("/sys/fs/cgroup/memory/memory.limit_in_bytes", O_WRONLY));
    say("memory", open("/dev/mem", O_RDWR));
    say("signal", syscall(SYS_kill, pid, SIGKILL));
  } else if (!strcmp(argv[1], "pair")) {
    int pair[2];
    for (int family = 1; family < 46; family++) if (socketpair(family, SOCK_STREAM, 0, pair) == 0) printf("pair %d\\n", family);
  } else if (!strcmp(argv[1], "stay")) {
    int forked = 0;
    for (int i = 0; i < 4; i++) { int pid = fork(); if (pid == 0) { setsid(); for (;;) pause(); } if (pid > 0) forked++; }
    printf("forked %d\\n", forked);
  }
  fflush(stdout);
  return 0;
}`;

const RUNGS = ["bubblewrap-root", "bubblewrap-user", "root"] as const;
const [EPERM, ENOENT, EACCES, EFBIG, ENOSYS] = [1, 2, 13, 27, 38];
const MB = 1024 * 1024;

/** The number that the program told behind a word. */
const told = (out: string, word: string): number =>
  Number(new RegExp(`^${word} (-?\\d+)`, "m").exec(out)?.[1] ?? assert.fail(`${word}? ${out}`));

/** The capsule's state as the program sees it. */
const stateOf = (inside: Native, directory: string, wrapped: boolean): string =>
  wrapped ? "/cap/state" : join(inside.site.runDirectory, "accounts", directory.split("/").at(-1) ?? "", "state");

for (const rung of RUNGS) {
  const wrapped = rung !== "root";
  describe(`${rung}: a process that was taken over`, () => {
    test("has the limits of its launch and cannot raise them", async (t) => {
      await using inside = await native(t, rung, PROGRAM);
      if (inside === null) return;
      const { out } = await inside.say(["limits"], undefined, { ...LIMITS, maxFileBytes: 64 * MB });
      assert.match(out, /^core 0 0$/m);
      assert.match(out, /^nofile 4096 4096$/m);
      assert.match(out, new RegExp(`^fsize ${64 * MB} ${64 * MB}$`, "m"));
      assert.ok(told(out, "stack") > 0 && told(out, "stack") <= 8 * MB, out);
      assert.equal(told(out, "raise"), EPERM);
    });

    test("writes no file beyond its bound, not even one full of nothing", async (t) => {
      await using inside = await native(t, rung, PROGRAM);
      if (inside === null) return;
      const capsule = inside.capsule("a");
      const limits = { ...LIMITS, maxFileBytes: 8 * MB };
      const { out } = await inside.say(["write", stateOf(inside, capsule.directory, wrapped)], capsule, limits);
      assert.match(out, new RegExp(`^written ${8 * MB} errno ${EFBIG}$`, "m"));
      assert.deepEqual([told(out, "sparse"), told(out, "allocate")], [EFBIG, EFBIG]);
      assert.equal(statSync(join(capsule.directory, "state", "large")).size, 8 * MB);
    });

    test("leaves nothing that is measured wrong, followed or kept when its account is erased", async (t) => {
      await using inside = await native(t, rung, PROGRAM);
      if (inside === null) return;
      const [capsule, elsewhere] = [inside.capsule("a"), inside.capsule("elsewhere")];
      writeFileSync(join(elsewhere.directory, "kept"), "x".repeat(3 * MB));
      const { out } = await inside.say(["litter", stateOf(inside, capsule.directory, wrapped), elsewhere.directory], capsule);
      if (wrapped) assert.deepEqual([told(out, "symlink"), told(out, "fifo"), told(out, "device")], [ENOSYS, ENOSYS, ENOSYS], out);
      else assert.equal(told(out, "device"), EPERM);
      assert.equal(existsSync(join(capsule.directory, "state", "a\nb\u00ff")), false);
      const bytes = await erased(inside, capsule.directory);
      assert.ok(bytes > 100 * 4096 && bytes < 2 * MB, `every directory is counted and no link is followed: ${bytes}`);
      assert.equal(existsSync(capsule.directory), false, out);
      assert.equal(statSync(join(elsewhere.directory, "kept")).size, 3 * MB);
    });

    test("runs no program that it wrote", async (t) => {
      await using inside = await native(t, rung, PROGRAM);
      if (inside === null) return;
      const capsule = inside.capsule("a");
      const own = wrapped ? "/workerd" : join(inside.site.runDirectory, "workerd");
      const { out } = await inside.say(["run", stateOf(inside, capsule.directory, wrapped), own], capsule);
      // Without root nothing can be mounted noexec: it runs, behind the same filter and in the same walls.
      if (rung === "bubblewrap-user") assert.match(out, /^(it ran|run \d+)$/m);
      else assert.equal(told(out, "run"), EACCES);
    });

    test("touches no process but its own", async (t) => {
      await using inside = await native(t, rung, PROGRAM);
      if (inside === null) return;
      const stranger = spawn("sleep", ["60"], { stdio: "ignore", uid: inside.hostUid || 65_534, env: { SECRET: "s" } });
      try {
        await once(stranger, "spawn");
        for (const pid of [inside.hostPid, stranger.pid ?? 0]) {
          const { out } = await inside.say(["touch", "", String(pid)]);
          for (const what of ["environ", "mem", "root", "fd", "kernel", "sys", "memory"]) {
            assert.ok([ENOENT, EACCES, EPERM].includes(told(out, what)), `${what}: ${out}`);
          }
          assert.equal(told(out, "signal"), wrapped ? ENOSYS : EPERM);
        }
        assert.equal(stranger.exitCode ?? stranger.signalCode, null);
      } finally {
        stranger.kill("SIGKILL");
      }
    });

    test("has pairs of unix sockets alone", async (t) => {
      await using inside = await native(t, rung, PROGRAM);
      if (inside === null || !wrapped) return;
      assert.equal((await inside.say(["pair"])).out.trim(), "pair 1");
    });

    test("leaves no process behind", async (t) => {
      await using inside = await native(t, rung, PROGRAM);
      if (inside === null) return;
      // By a word of its own: other tests give their capsules the same user ids.
      const mark = randomUUID();
      const { out } = await inside.say(["stay", mark]);
      assert.equal(told(out, "forked"), wrapped ? 0 : 4, out);
      if (rung !== "bubblewrap-user" && (wrapped || inside.controllers.size > 0)) assert.deepEqual(processesWith(mark), []);
    });
  });
}

/** Measures and erases the directory as the host does: as root, or in a process of the ordinary user. Answers the bytes. */
async function erased(inside: Native, directory: string): Promise<number> {
  if (inside.hostUid === 0) {
    const bytes = await diskUsage(join(directory, "state"));
    await eraseTree(directory);
    return bytes;
  }
  const files = join(import.meta.dirname, "../../../../src/host/capsules/files");
  const code = `import { diskUsage } from "${files}/disk.ts"; import { eraseTree } from "${files}/durable.ts";
    process.stdout.write(String(await diskUsage(process.argv[1] + "/state"))); await eraseTree(process.argv[1]);`;
  const words = ["--input-type=module-typescript", "-e", code, directory];
  const child = spawn(process.execPath, words, { uid: inside.hostUid, gid: inside.hostUid, stdio: ["ignore", "pipe", "inherit"], env: {} });
  const [bytes] = await Promise.all([text(child.stdout), once(child, "exit")]);
  return Number(bytes || Number.NaN);
}
