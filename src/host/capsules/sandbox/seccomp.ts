// The system call filters of what runs in a capsule, assembled for the kernel's classic BPF machine: foreign call tables and
// calls of attackers kill the process, a few calls pass with harmless arguments only, unknown ones do not exist.
import type { Program } from "../../contract.ts";
import { FATAL, KEEPER_LESS, KEEPER_MORE, MARGIN, NEEDED, NUMBERS, type Architecture } from "./syscalls.ts";

// Classic BPF instructions (linux/bpf_common.h) on struct seccomp_data { int nr; u32 arch; u64 ip; u64 args[6] }.
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;
const NUMBER_OFFSET = 0;
const ARCHITECTURE_OFFSET = 4;

const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const errno = (code: number): number => 0x00050000 | code;
const [EPERM, EINVAL, ENOTTY, ENOSYS, EAFNOSUPPORT] = [errno(1), errno(22), errno(25), errno(38), errno(97)];

/** AUDIT_ARCH_* of linux/audit.h. */
const AUDIT: Readonly<Record<Architecture, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 };
const X32_BIT = 0x40000000;
const CLONE_THREAD = 0x00010000;
/** NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const CLONE_NEW_ANY = 0x7e020000;
const AF_UNIX = 1;
/** FIONBIO, FIOCLEX, FIONREAD, TCGETS, TIOCGWINSZ. */
const IOCTLS = [0x5421, 0x5451, 0x541b, 0x5401, 0x5413];
/** SET_NAME, GET_NAME, GET_DUMPABLE, SET_DUMPABLE, SET_VMA. */
const PRCTLS = [15, 16, 3, 4, 0x53564d41];

/** Jumps name a label; "next" is the instruction that follows. */
type Instruction = { readonly code: number; readonly k: number; readonly yes: string; readonly no: string };

class Assembler {
  readonly #instructions: Instruction[] = [];
  readonly #labels = new Map<string, number>();

  label(name: string): void {
    this.#labels.set(name, this.#instructions.length);
  }

  load(offset: number): void {
    this.#instructions.push({ code: LOAD, k: offset, yes: "next", no: "next" });
  }

  /** @param half 0 is the low word of the 64-bit argument, 1 the high one. */
  loadArgument(index: number, half: 0 | 1 = 0): void {
    this.load(16 + 8 * index + 4 * half);
  }

  jump(code: number, k: number, yes: string, no = "next"): void {
    this.#instructions.push({ code, k, yes, no });
  }

  end(result: number): void {
    this.#instructions.push({ code: RETURN, k: result, yes: "next", no: "next" });
  }

  /** struct sock_filter[]: u16 code, u8 jump if true, u8 jump if false, u32 k, in the machine's (little) endianness. */
  assemble(): Buffer {
    const bytes = Buffer.alloc(this.#instructions.length * 8);
    const distance = (from: number, label: string): number => {
      if (label === "next") return 0;
      const target = this.#labels.get(label);
      if (target === undefined) throw new Error(`no label ${label}`);
      const offset = target - from - 1;
      if (offset < 0 || offset > 255) throw new Error(`label ${label} is ${offset} instructions away; 0 to 255 can be reached`);
      return offset;
    };
    for (const [at, { code, k, yes, no }] of this.#instructions.entries()) {
      bytes.writeUInt16LE(code, at * 8);
      bytes.writeUInt8(distance(at, yes), at * 8 + 2);
      bytes.writeUInt8(distance(at, no), at * 8 + 3);
      bytes.writeUInt32LE(k, at * 8 + 4);
    }
    return bytes;
  }
}

function checkTable(program: Assembler, architecture: Architecture): void {
  program.load(ARCHITECTURE_OFFSET);
  program.jump(JUMP_EQUAL, AUDIT[architecture], "own table");
  program.end(KILL_PROCESS);
  program.label("own table");
  program.load(NUMBER_OFFSET);
  if (architecture !== "x64") return;
  program.jump(JUMP_AT_LEAST, X32_BIT, "next", "not x32");
  program.end(KILL_PROCESS);
  program.label("not x32");
}

/** One call whose argument must be among the values; the block returns on every path and leaves others' numbers loaded. */
function ruleOneOf(program: Assembler, name: string, number: number, index: number, values: readonly number[], otherwise: number): void {
  program.jump(JUMP_EQUAL, number, "next", `after ${name}`);
  program.loadArgument(index);
  for (const value of values) program.jump(JUMP_EQUAL, value, `${name} passes`);
  program.end(otherwise);
  program.label(`${name} passes`);
  program.end(ALLOW);
  program.label(`after ${name}`);
}

type Profile = { readonly allowed: readonly string[]; readonly fatal: readonly string[]; readonly families: readonly number[] };

const PROFILES: Readonly<Record<Program, Profile>> = {
  workerd: { allowed: [...NEEDED, ...MARGIN], fatal: FATAL, families: [AF_UNIX] },
  keeper: {
    allowed: [...NEEDED, ...MARGIN, ...KEEPER_MORE].filter((name) => !KEEPER_LESS.has(name)),
    // Node tries io_uring at its start and does without where there is none.
    fatal: FATAL.filter((name) => !name.startsWith("io_uring_")),
    families: [],
  },
};

function rules(program: Assembler, number: (name: string) => number, families: readonly number[]): void {
  // Threads yes, processes and namespaces never. clone3 hides its flags in memory, where no filter can look:
  // "not implemented" makes the C library fall back to clone.
  program.jump(JUMP_EQUAL, number("clone"), "next", "after clone");
  program.loadArgument(0);
  program.jump(JUMP_ANY_BIT, CLONE_NEW_ANY, "no clone");
  program.jump(JUMP_ANY_BIT, CLONE_THREAD, "clone passes");
  program.label("no clone");
  program.end(EPERM);
  program.label("clone passes");
  program.end(ALLOW);
  program.label("after clone");
  program.jump(JUMP_EQUAL, number("clone3"), "next", "after clone3");
  program.end(ENOSYS);
  program.label("after clone3");
  // Reading a limit is fine; a new one (a pointer in either half of the argument) is not.
  program.jump(JUMP_EQUAL, number("prlimit64"), "next", "after prlimit64");
  program.loadArgument(2);
  program.jump(JUMP_EQUAL, 0, "next", "no prlimit64");
  program.loadArgument(2, 1);
  program.jump(JUMP_EQUAL, 0, "prlimit64 passes");
  program.label("no prlimit64");
  program.end(EPERM);
  program.label("prlimit64 passes");
  program.end(ALLOW);
  program.label("after prlimit64");
  // A pair of another family would have the kernel load that family's code.
  for (const name of ["socket", "socketpair"]) ruleOneOf(program, name, number(name), 0, families, EAFNOSUPPORT);
  ruleOneOf(program, "ioctl", number("ioctl"), 1, IOCTLS, ENOTTY);
  ruleOneOf(program, "prctl", number("prctl"), 0, PRCTLS, EINVAL);
}

/** The filter as bubblewrap's `--seccomp` reads it: an array of struct sock_filter. */
export function seccompFilter(architecture: Architecture, runs: Program = "workerd"): Buffer {
  const { allowed, fatal, families } = PROFILES[runs];
  const table = NUMBERS[architecture];
  const known = (names: readonly string[]): number[] => names.map((name) => table.get(name)).filter((number) => number !== undefined);
  const program = new Assembler();
  checkTable(program, architecture);
  const numberOf = (name: string): number => {
    const number = table.get(name);
    if (number === undefined) throw new Error(`no number for ${name} on ${architecture}`);
    return number;
  };
  rules(program, numberOf, families);
  for (const number of known(allowed)) program.jump(JUMP_EQUAL, number, "allow");
  for (const number of known(fatal)) program.jump(JUMP_EQUAL, number, "kill");
  program.end(ENOSYS);
  program.label("kill");
  program.end(KILL_PROCESS);
  program.label("allow");
  program.end(ALLOW);
  return program.assemble();
}

/** The machine's architecture as the filter knows it; null where there is no table. */
export function seccompArchitecture(): Architecture | null {
  return process.arch === "x64" || process.arch === "arm64" ? process.arch : null;
}
