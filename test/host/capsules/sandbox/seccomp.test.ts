// The filter is read back by a small machine for classic BPF, since one architecture's filter cannot run on the other.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seccompFilter } from "../../../../src/host/capsules/sandbox/seccomp.ts";
import {
  FATAL,
  KEEPER_LESS,
  KEEPER_MORE,
  MARGIN,
  NEEDED,
  NUMBERS,
  type Architecture,
} from "../../../../src/host/capsules/sandbox/syscalls.ts";

const AUDIT = { x64: 0xc000003e, arm64: 0xc00000b7 };
const ALLOW = 0x7fff0000;
const KILL = 0x80000000;
const errno = (code: number): number => 0x00050000 + code;
const [EPERM, EINVAL, ENOTTY, ENOSYS, EAFNOSUPPORT] = [1, 22, 25, 38, 97].map(errno);

/** What the filter answers to a call. */
function ask(filter: Buffer, architecture: number, number: number, args: readonly bigint[] = []): number {
  const call = Buffer.alloc(64);
  call.writeUInt32LE(number, 0);
  call.writeUInt32LE(architecture, 4);
  for (const [index, value] of args.entries()) call.writeBigUInt64LE(value, 16 + 8 * index);
  let accumulator = 0;
  for (let at = 0; at < filter.length / 8; at++) {
    const [code, yes, no, k] = [
      filter.readUInt16LE(at * 8),
      filter.readUInt8(at * 8 + 2),
      filter.readUInt8(at * 8 + 3),
      filter.readUInt32LE(at * 8 + 4),
    ];
    const jump = (taken: boolean): void => void (at += taken ? yes : no);
    if (code === 0x20) accumulator = call.readUInt32LE(k);
    else if (code === 0x15) jump(accumulator === k);
    else if (code === 0x35) jump(accumulator >= k);
    else if (code === 0x45) jump((accumulator & k) !== 0);
    else if (code === 0x06) return k;
    else assert.fail(`instruction ${at} has the unknown code ${code}`);
  }
  return assert.fail("the filter ends without an answer");
}

for (const architecture of ["x64", "arm64"] as const satisfies Architecture[]) {
  describe(`the system call filter on ${architecture}`, () => {
    const filter = seccompFilter(architecture);
    const table = NUMBERS[architecture];
    const numberOf = (name: string): number => table.get(name) ?? assert.fail(`${name} has no number`);
    const answer = (name: string, ...args: bigint[]): number => ask(filter, AUDIT[architecture], numberOf(name), args);

    test("what workerd needs is allowed, what only an attacker wants kills, anything else does not exist", () => {
      for (const name of [...NEEDED, ...MARGIN]) if (table.has(name)) assert.equal(answer(name), ALLOW, name);
      for (const name of FATAL) if (table.has(name)) assert.equal(answer(name), KILL, name);
      const named = new Set(table.values());
      for (let number = 0; number < 1024; number++) if (!named.has(number)) assert.equal(ask(filter, AUDIT[architecture], number), ENOSYS);
    });

    test("another architecture's table, and the x32 one, kill the process", () => {
      for (const foreign of [0x40000003, 0x40000028, AUDIT[architecture === "x64" ? "arm64" : "x64"]])
        assert.equal(ask(filter, foreign, 0), KILL);
      if (architecture === "x64") assert.equal(ask(filter, AUDIT.x64, 0x40000000), KILL);
    });

    test("the keeper walks and mends directories, and has no sockets of any kind", () => {
      const keeper = seccompFilter(architecture, "keeper");
      const answers = (name: string, ...args: bigint[]): number => ask(keeper, AUDIT[architecture], numberOf(name), args);
      for (const name of [...KEEPER_MORE, "openat", "fsync", "futex"]) if (table.has(name)) assert.equal(answers(name), ALLOW, name);
      for (const family of [1n, 2n, 10n, 16n]) assert.equal(answers("socket", family), EAFNOSUPPORT);
      for (const name of KEEPER_LESS) assert.equal(answers(name), ENOSYS, name);
      for (const name of ["io_uring_setup", "io_uring_enter", "clone3"]) assert.equal(answers(name), ENOSYS, name);
      for (const name of ["ptrace", "mount", "unshare"]) assert.equal(answers(name), KILL, name);
      assert.equal(answers("clone", 17n), EPERM, "fork");
    });

    test("threads may be made, processes and namespaces never", () => {
      const pthread = 0x3d0f00n;
      assert.equal(answer("clone", pthread), ALLOW);
      assert.equal(answer("clone", 17n), EPERM, "fork");
      for (const space of [0x20000n, 0x2000000n, 0x4000000n, 0x8000000n, 0x10000000n, 0x20000000n, 0x40000000n]) {
        assert.equal(answer("clone", pthread | space), EPERM);
      }
      assert.equal(answer("clone3"), ENOSYS);
    });

    test("sockets are unix sockets, limits can only be read, and ioctl and prctl do harmless things alone", () => {
      assert.equal(answer("socket", 1n), ALLOW);
      for (const family of [2n, 10n, 16n, 17n, 40n]) assert.equal(answer("socket", family), EAFNOSUPPORT);
      assert.equal(answer("prlimit64", 0n, 7n, 0n, 1n), ALLOW);
      for (const pointer of [1n, 1n << 32n, 0x7fff_0000_0000n]) assert.equal(answer("prlimit64", 0n, 7n, pointer), EPERM);
      assert.equal(answer("ioctl", 3n, 0x5421n), ALLOW);
      assert.equal(answer("ioctl", 0n, 0x5412n), ENOTTY, "TIOCSTI");
      assert.equal(answer("prctl", 15n), ALLOW);
      assert.equal(answer("prctl", 22n), EINVAL, "SET_SECCOMP");
    });
  });
}
