// The command line of a capsule under bubblewrap: all namespaces, no capabilities, an empty root in which the binary,
// its libraries, two devices, `assets/` (read-only), `state/` and the sockets are all there is.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import type { InnerPaths } from "../../contract.ts";
import { INFO_FD, SECCOMP_FD } from "./process.ts";

export const INNER: InnerPaths = { sockets: "/s", assets: "/cap/assets", state: "/cap/state" };

/** Where distributions keep the bundle; inside it appears as the first of these, where workerd looks. */
const INNER_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";
const CA_BUNDLES = [INNER_BUNDLE, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];
const ROOT_BYTES = 1024 * 1024;

const NAMESPACES =
  "--unshare-user --unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup-try --disable-userns --die-with-parent --new-session";
const IDENTITY = "--as-pid-1 --cap-drop ALL --clearenv --hostname capsule --uid 1000 --gid 1000";

/** Shared libraries and loader of a program, by their names inside and outside; none for a static one. */
function libraries(program: string): string[] {
  try {
    const listed = execFileSync("ldd", [program], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return Array.from(listed.matchAll(/(\/\S+) \(0x/g), ([, path = ""]) => path);
  } catch {
    return [];
  }
}

function certificates(runDirectory: string): string {
  const found = CA_BUNDLES.find((path) => existsSync(path));
  if (found !== undefined) return found;
  const own = join(runDirectory, "ca-certificates.crt");
  writeFileSync(own, rootCertificates.join("\n"), { mode: 0o644 });
  return own;
}

export type Bubblewrap = {
  /** @param directory and socketDirectory as the capsule's user can reach them; null: not shown. */
  command(directory: string | null, socketDirectory: string | null, args: readonly string[]): string[];
  /** The keeper's Node over `state/` of the directory. @param args of Node itself, with paths as they are inside. */
  keeper(directory: string, args: readonly string[]): string[];
};

/** What is bound into every capsule; the binaries where its user can execute them. */
export type Bound = { readonly workerd: string; readonly node: string; readonly keeper: string };

/** Where the keeper's program lies inside. */
export const INNER_KEEPER = "/keeper";

const bind = (kind: "--bind" | "--ro-bind" | "--dev-bind", from: string, to = from): string[] => [kind, from, to];

/** Finds once what every launch shares. */
export function openBubblewrap(program: string, { workerd, node, keeper }: Bound, runDirectory: string): Bubblewrap {
  const fixed = [
    program,
    ...`${NAMESPACES} ${IDENTITY} --seccomp ${SECCOMP_FD} --info-fd ${INFO_FD} --size ${ROOT_BYTES} --tmpfs / --dir /cap`.split(" "),
    // Not --dev: its /dev/shm is writable memory without a bound.
    ...bind("--dev-bind", "/dev/null"),
    ...bind("--dev-bind", "/dev/urandom"),
  ];
  const binary = (path: string, inside: string): string[] => [
    ...bind("--ro-bind", path, inside),
    ...libraries(path).flatMap((library) => bind("--ro-bind", library)),
  ];
  const ofWorkerd = [...fixed, ...binary(workerd, "/workerd"), ...bind("--ro-bind", certificates(runDirectory), INNER_BUNDLE)];
  const ofKeeper = [...fixed, ...binary(node, "/node"), ...bind("--ro-bind", keeper, INNER_KEEPER)];
  const last = "--remount-ro / --chdir /cap --".split(" ");
  return {
    keeper: (directory, args) => [...ofKeeper, ...bind("--bind", join(directory, "state"), INNER.state), ...last, "/node", ...args],
    command: (directory, socketDirectory, args) => [
      ...ofWorkerd,
      ...(directory === null ? [] : bind("--ro-bind", join(directory, "assets"), INNER.assets)),
      ...(directory === null ? [] : bind("--bind", join(directory, "state"), INNER.state)),
      ...(socketDirectory === null ? [] : bind("--bind", socketDirectory, INNER.sockets)),
      ...last,
      "/workerd",
      ...args,
    ],
  };
}

/** Why bubblewrap would not do here, in words for the operator; null when it looks usable. */
export function bubblewrapMissing(program: string | null): string | null {
  if (program === null) return "bubblewrap is not installed: apt-get install bubblewrap";
  let version = "";
  try {
    version = execFileSync(program, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return `${program} cannot be run`;
  }
  const [, major = "0", minor = "0"] = /(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) > 0 || Number(minor) >= 8 ? null : `${version} is too old: 0.8 or newer is needed`;
}

/** Which switch of the kernel forbids user namespaces, as far as it says; an empty text when none is known to. */
export function namespacesForbidden(): string {
  const switches: [file: string, bad: string, cure: string][] = [
    [
      "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
      "1",
      "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap",
    ],
    ["/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"],
    ["/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"],
  ];
  const found = switches.find(([file, bad]) => existsSync(file) && readFileSync(file, "utf8").trim() === bad);
  return found === undefined ? "" : `; user namespaces are forbidden here: ${found[2]}`;
}
