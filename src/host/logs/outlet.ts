// One reader's stream of JSON lines: what does not fit into its bound is left out and counted, and the reader is told
// so, since a reader that has stopped reading must cost no more memory than the bound.
import { Readable } from "node:stream";

const MAX_QUEUED_BYTES = 1_048_576;
/** Below it a reader that had fallen behind has caught up. */
const CAUGHT_UP_BYTES = 262_144;

export type Notices = {
  /** Said once when lines begin to be left out; null says nothing. */
  readonly behind: () => string | null;
  /** Said once the reader has caught up. */
  readonly caughtUp: (missed: number) => string | null;
};

export class Outlet {
  readonly stream: Readable;
  readonly #notices: Notices;
  #missed = 0;
  #behind = false;
  #over = false;

  /** @param gone called once when the stream is over, whoever ended it */
  constructor(notices: Notices, gone: (outlet: Outlet) => void) {
    this.#notices = notices;
    this.stream = new Readable({
      highWaterMark: 65_536,
      read: () => this.#catchUp(),
      destroy: (error, done) => {
        this.#over = true;
        gone(this);
        done(error);
      },
    });
    this.stream.on("error", () => {});
  }

  /** Sends one line, without its end, or counts it as missed. */
  send(line: string): void {
    if (this.#over) return;
    if (this.#behind || this.stream.readableLength + line.length > MAX_QUEUED_BYTES) return this.miss(1);
    this.#push(line);
  }

  /** Counts lines that never came as far as this. */
  miss(count: number): void {
    if (this.#over || count === 0) return;
    this.#missed += count;
    if (this.#behind) return;
    this.#behind = true;
    this.#push(this.#notices.behind());
    if (this.stream.readableLength <= CAUGHT_UP_BYTES) setImmediate(() => this.#catchUp());
  }

  /** Ends the stream after what is queued. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.stream.push(null);
    // A reader that does not read would never see the end.
    if (this.stream.readableLength > CAUGHT_UP_BYTES) this.stream.destroy();
  }

  #catchUp(): void {
    if (this.#over || !this.#behind || this.stream.readableLength > CAUGHT_UP_BYTES) return;
    const missed = this.#missed;
    this.#behind = false;
    this.#missed = 0;
    this.#push(this.#notices.caughtUp(missed));
  }

  #push(line: string | null): void {
    if (line !== null) this.stream.push(`${line}\n`);
  }
}
