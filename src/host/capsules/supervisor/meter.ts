// CPU of a request that had its process to itself: the time that the process's main thread, which runs every Worker of
// the account, has used when the request ends and had used when it began. Half a microsecond a look.
import { closeSync, openSync, readSync } from "node:fs";

/** The first number of the file is nanoseconds on a processor. */
const FIELD_BYTES = 24;
const NS_PER_MS = 1_000_000;
const SPACE = 32;
const ZERO = 48;

export class Meter implements Disposable {
  #fd: number | null;
  readonly #bytes = Buffer.alloc(FIELD_BYTES);

  /** @param pid of the process, which lives; elsewhere than on Linux, or where the kernel does not count, nothing is measured */
  constructor(pid: number) {
    let fd: number | null = null;
    try {
      fd = openSync(`/proc/${pid}/schedstat`, "r");
    } catch {
      // Not told here.
    }
    this.#fd = fd;
  }

  /** Milliseconds of CPU since the process began; null where that is not told. */
  read(): number | null {
    if (this.#fd === null) return null;
    try {
      const length = readSync(this.#fd, this.#bytes, 0, FIELD_BYTES, 0);
      let ns = 0;
      for (let at = 0; at < length && this.#bytes[at] !== SPACE; at++) ns = ns * 10 + (this.#bytes[at] ?? ZERO) - ZERO;
      return ns === 0 ? null : ns / NS_PER_MS;
    } catch {
      // The process is gone.
      return null;
    }
  }

  [Symbol.dispose](): void {
    const fd = this.#fd;
    // A number that is used again must not be read.
    this.#fd = null;
    if (fd !== null) closeSync(fd);
  }
}
