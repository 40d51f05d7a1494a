// One reader's stream of JSON lines: what does not fit into its bound is left out and counted, and the reader is told
// so, since a reader that has stopped reading must cost no more memory than the bound.
import { Readable } from "node:stream";
import type { Crowd } from "./crowd.ts";

/** Of one stream, and of all of them while each may have the least. */
const MAX_QUEUED_BYTES = 1_048_576;
const MAX_ALL_BYTES = 67_108_864;
const LEAST_QUEUED_BYTES = 65_536;
/** Share of the bound below which a reader that had fallen behind has caught up. */
const CAUGHT_UP = 0.25;
const HIGH_WATER_BYTES = 16_384;

export type Notices = {
  /** Said once when lines begin to be left out; null says nothing. */
  readonly behind: () => string | null;
  /** Said once the reader has caught up. */
  readonly caughtUp: (missed: number) => string | null;
};

export class Outlet {
  readonly stream: Readable;
  readonly #notices: Notices;
  readonly #crowd: Crowd;
  #missed = 0;
  #behind = false;
  #over = false;

  /** @param gone called once when the stream is over, whoever ended it */
  constructor(notices: Notices, crowd: Crowd, gone: () => void) {
    this.#notices = notices;
    this.#crowd = crowd;
    crowd.readers++;
    this.stream = new Readable({
      highWaterMark: HIGH_WATER_BYTES,
      read: () => this.#catchUp(),
      destroy: (error, done) => {
        this.#over = true;
        crowd.readers--;
        gone();
        done(error);
      },
    });
    this.stream.on("error", () => {});
  }

  /** Sends one line, without its end, or counts it as missed. */
  send(line: string): void {
    if (this.#over) return;
    if (this.#behind || this.stream.readableLength + line.length > this.#bound) return this.miss(1);
    this.#push(line);
  }

  /** Counts lines that never came as far as this. */
  miss(count: number): void {
    if (this.#over || count === 0) return;
    this.#missed += count;
    if (this.#behind) return;
    this.#behind = true;
    this.#push(this.#notices.behind());
    if (this.#hasCaughtUp) setImmediate(() => this.#catchUp());
  }

  /** Ends the stream after what is queued. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.stream.push(null);
    // A reader that does not read would never see the end.
    if (!this.#hasCaughtUp) this.stream.destroy();
  }

  get #bound(): number {
    return Math.max(LEAST_QUEUED_BYTES, Math.min(MAX_QUEUED_BYTES, MAX_ALL_BYTES / this.#crowd.readers));
  }

  get #hasCaughtUp(): boolean {
    return this.stream.readableLength <= this.#bound * CAUGHT_UP;
  }

  #catchUp(): void {
    if (this.#over || !this.#behind || !this.#hasCaughtUp) return;
    const missed = this.#missed;
    this.#behind = false;
    this.#missed = 0;
    this.#push(this.#notices.caughtUp(missed));
  }

  #push(line: string | null): void {
    if (line !== null) this.stream.push(`${line}\n`);
  }
}
