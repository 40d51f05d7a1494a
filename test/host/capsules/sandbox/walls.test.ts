// What a process in the sandbox could do if it broke out of the engine: a native program stands in for workerd.
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import type { Rung } from "../../../../src/host/contract.ts";
import { NUMBERS } from "../../../../src/host/capsules/sandbox/syscalls.ts";
import { accountSockets } from "../../../../src/host/capsules/supervisor/doors.ts";
import { walled } from "../../../fixtures/walled.ts";
import { native as nativeOf } from "./native.ts";
import { HELLO, IS_ROOT, LIMITS, run, Site } from "./site.ts";

const PROGRAM = `
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
extern char **environ;
static void list(const char *path) {
  DIR *d = opendir(path);
  printf("list %s", path);
  if (!d) { printf(" errno %d\\n", errno); return; }
  for (struct dirent *e; (e = readdir(d));) if (e->d_name[0] != '.') printf(" %s", e->d_name);
  printf("\\n"); closedir(d);
}
static void touch(const char *path) {
  int fd = open(path, O_CREAT | O_WRONLY, 0700);
  printf("write %s %d\\n", path, fd >= 0 ? 0 : errno);
}
static void *idle(void *x) { for (;;) pause(); return x; }
int main(int argc, char **argv) {
  // As workerd does: nothing until the standard input ends, for only then is the process in its groups.
  char ignored; while (read(0, &ignored, 1) > 0);
  if (!strcmp(argv[1], "look")) {
    for (char **e = environ; *e; e++) printf("env %s\\n", *e);
    for (int fd = 3; fd < 1024; fd++) if (fcntl(fd, F_GETFD) >= 0) printf("fd %d\\n", fd);
    list("/"); list("/cap"); list("/dev"); list("/etc"); list("/proc"); list("/s");
    touch("/new"); touch("/cap/new"); touch("/cap/assets/new"); touch("/dev/new"); touch("/cap/state/new"); touch("/s/new");
    int fd = open("/cap/assets/page", O_RDONLY); printf("assets %d\\n", fd >= 0 ? 0 : errno);
    printf("inet %d\\n", socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : errno);
    printf("netlink %d\\n", socket(AF_NETLINK, SOCK_RAW, 0) >= 0 ? 0 : errno);
    printf("unix %d\\n", socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? 0 : errno);
    printf("fork %d\\n", fork() >= 0 ? 0 : errno);
  } else if (!strcmp(argv[1], "read")) {
    for (int i = 2; i < argc; i++) { int fd = open(argv[i], O_RDONLY); printf("read %d %d\\n", i, fd >= 0 ? 0 : errno); }
  } else if (!strcmp(argv[1], "call")) {
    long r = syscall(atol(argv[2]), 0, 0, 0, 0, 0, 0);
    printf("call %ld %d\\n", r, r < 0 ? errno : 0);
  } else if (!strcmp(argv[1], "threads")) {
    int n = 0; pthread_t t; pthread_attr_t a; pthread_attr_init(&a); pthread_attr_setstacksize(&a, 65536);
    while (n < 1000 && !pthread_create(&t, &a, idle, 0)) n++;
    printf("threads %d\\n", n);
  } else if (!strcmp(argv[1], "eat")) {
    for (;;) { char *p = malloc(1 << 20); if (!p) { printf("refused\\n"); fflush(stdout); _exit(3); } memset(p, 1, 1 << 20); }
  }
  fflush(stdout);
  return 0;
}`;

/** The program in place of workerd on a rung, or null when the machine cannot; the test is skipped then. */
const native = (t: TestContext, rung: Rung) => nativeOf(t, rung, PROGRAM);

describe("the walls of a capsule", () => {
  for (const rung of ["bubblewrap-root", "bubblewrap-user"] as const)
    test(`${rung}: its own directory and nothing else: no /proc, no environment, no network, no processes; only state and sockets are writable`, async (t) => {
      await using inside = await native(t, rung);
      if (inside === null) return;
      const { out } = await inside.say(["look"]);
      const line = (start: string): string[] =>
        (out.split("\n").find((text) => text.startsWith(start)) ?? "").slice(start.length).trim().split(" ").sort();
      assert.deepEqual(
        line("list / ").filter((name) => !name.startsWith("lib")),
        ["cap", "dev", "etc", "s", "workerd"],
        out,
      );
      assert.deepEqual(line("list /cap "), ["assets", "state"], "code/ never appears");
      assert.deepEqual(line("list /dev "), ["null", "urandom"]);
      assert.deepEqual(line("list /etc "), ["ssl"]);
      assert.deepEqual(line("list /proc "), ["2", "errno"]);
      assert.deepEqual(
        out.split("\n").filter((text) => text.startsWith("env ") && !text.startsWith("env PWD=")),
        [],
      );
      const EROFS = "30";
      for (const path of ["/new", "/cap/new", "/cap/assets/new", "/dev/new"]) assert.deepEqual(line(`write ${path} `), [EROFS], path);
      for (const path of ["/cap/state/new", "/s/new"]) assert.deepEqual(line(`write ${path} `), ["0"], path);
      assert.deepEqual(line("assets "), ["0"]);
      const [EAFNOSUPPORT, EPERM_OR_ENOSYS] = ["97", /^(1|38)$/];
      assert.deepEqual([line("inet "), line("netlink "), line("unix ")], [[EAFNOSUPPORT], [EAFNOSUPPORT], ["0"]]);
      assert.match(line("fork ")[0] ?? "", EPERM_OR_ENOSYS);
      // A descriptor that this process inherited may show, but only as /dev/null.
      assert.doesNotMatch(out, /fd [3-9]\n/);
    });

  test("a call from the kill list ends the process; a call that nobody named does not exist", async (t) => {
    await using inside = await native(t, "bubblewrap-root");
    if (inside === null) return;
    const table = NUMBERS[process.arch === "arm64" ? "arm64" : "x64"];
    for (const name of [
      "ptrace",
      "mount",
      "unshare",
      "setns",
      "bpf",
      "keyctl",
      "io_uring_setup",
      "process_vm_readv",
      "pidfd_getfd",
      "personality",
    ]) {
      const { signal, out } = await inside.say(["call", String(table.get(name))]);
      assert.equal(signal, "SIGSYS", `${name}: ${out}`);
    }
    const ENOSYS = 38;
    for (const number of [table.get("clone3") ?? 0, process.arch === "x64" ? 319 : 279, 1500]) {
      assert.match((await inside.say(["call", String(number)])).out, new RegExp(`call -1 ${ENOSYS}`));
    }
  });

  for (const rung of ["bubblewrap-root", "bubblewrap-user", "root"] as const) {
    test(`${rung}: a capsule never reads another account's directory, the host's, or the run directory's secrets`, async (t) => {
      await using inside = await native(t, rung);
      if (inside === null) return;
      const other = inside.capsule("other");
      const real = ["assets/page", "code/source", "state"].map((path) => join(other.directory, path));
      const bound = ["assets/page", "code/source", "state"].map((path) => join(inside.site.runDirectory, "accounts", "other", path));
      const { out } = await inside.say(["read", ...real, ...bound, other.socketDirectory, join(inside.site.runDirectory, "pids")]);
      const refused = out.split("\n").filter((line) => /^read \d+ (2|13)$/.test(line));
      assert.equal(refused.length, 8, out);
    });

    test(`${rung}: the number of its threads is bounded`, async (t) => {
      await using inside = await native(t, rung);
      if (inside === null) return;
      const { out } = await inside.say(["threads"]);
      const made = Number(/threads (\d+)/.exec(out)?.[1] ?? -1);
      // The group counts the program itself too; where there is none, the wrapper's two are allowed for.
      const most = inside.controllers.has("pids") ? LIMITS.maxProcesses - 1 : LIMITS.maxProcesses + 2;
      assert.ok(made > 4 && made <= most, out);
    });

    test(`${rung}: its memory is bounded, and the end is told as out of memory`, async (t) => {
      await using inside = await native(t, rung);
      if (inside === null) return;
      const end = await inside.say(["eat"]);
      if (inside.controllers.has("memory")) assert.deepEqual([end.signal, end.outOfMemory], ["SIGKILL", true]);
      else assert.match(end.out, /refused/);
    });
  }

  test("a memory eater dies alone: the other capsules go on", async (t) => {
    if (process.platform !== "linux" || !IS_ROOT) return t.skip("needs Linux and root");
    await using site = new Site();
    await using sandbox = await site.sandbox("auto");
    const quiet = await run(sandbox, site.capsule("quiet", true));
    const eater = await run(
      sandbox,
      site.capsule("eater", true),
      `const kept = []; export default { fetch(request) {
        if (new URL(request.url).pathname !== "/eat") return new Response("hello");
        for (;;) kept.push(new Uint8Array(4 << 20).fill(7));
      } };`,
      { limits: { ...LIMITS, memoryBytes: 96 * 1024 * 1024 } },
    );
    await eater.ask("/eat").catch(() => "");
    const exit = await eater.process.exited;
    assert.equal(exit.outOfMemory, true, JSON.stringify(exit));
    assert.equal(await quiet.ask(), "hello");
  });

  test("once its sockets are taken it writes nothing beside them: their directory is no part of its account's disk", async (t) => {
    if (process.platform !== "linux" || !IS_ROOT) return t.skip("needs Linux and root");
    await using host = await walled(2);
    const { account, label } = await host.deploy(HELLO);
    assert.equal((await host.supervisor.open(label)).kind, "lease");
    const directory = accountSockets(host.site.runDirectory, account);
    const own = readdirSync(directory).find((name) => name.startsWith("s"));
    const { uid, gid, mode } = statSync(join(directory, own ?? ""));
    assert.deepEqual([uid, gid >= 100_000, mode & 0o777], [0, true, 0o710]);
  });
});
