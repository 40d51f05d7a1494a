// Lines that wait to be written, as bytes in a few blocks: what is written as text at once leaves nothing behind for
// the collector, which costs more than all the rest where every request leaves a line.
const BLOCK_BYTES = 65_536;
/** Of UTF-8 for one unit of a JavaScript string. */
const BYTES_PER_CHAR = 3;

/** Whole lines, and what they hold. */
export type Block = { readonly bytes: Buffer; readonly records: number; readonly newestMs: number };

export class Lines {
  readonly #maxBytes: number;
  readonly #blockBytes: number;
  #full: Block[] = [];
  #fullBytes = 0;
  #buffer: Buffer | null = null;
  #used = 0;
  #records = 0;
  #newestMs = 0;

  /** @param maxBytes of all that waits @param blockBytes of one block at most, longer lines apart */
  constructor(maxBytes: number, blockBytes: number) {
    this.#maxBytes = maxBytes;
    this.#blockBytes = Math.min(BLOCK_BYTES, blockBytes);
  }

  get bytes(): number {
    return this.#fullBytes + this.#used;
  }

  /** False when there is no room. */
  add(line: string, atMs: number): boolean {
    const most = line.length * BYTES_PER_CHAR + 1;
    if (this.bytes + most > this.#maxBytes) return false;
    if (this.#buffer === null || this.#used + most > this.#buffer.length) this.#renew(most);
    const buffer = this.#buffer;
    if (buffer === null) return false;
    this.#used += buffer.write(line, this.#used);
    buffer[this.#used++] = 10;
    this.#records++;
    if (atMs > this.#newestMs) this.#newestMs = atMs;
    return true;
  }

  /** Hands everything over. */
  take(): Block[] {
    this.#seal();
    const taken = this.#full;
    this.#full = [];
    this.#fullBytes = 0;
    return taken;
  }

  #renew(bytes: number): void {
    this.#seal();
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(this.#blockBytes, bytes));
  }

  #seal(): void {
    if (this.#buffer !== null && this.#used > 0) {
      this.#full.push({ bytes: this.#buffer.subarray(0, this.#used), records: this.#records, newestMs: this.#newestMs });
      this.#fullBytes += this.#used;
    }
    this.#buffer = null;
    this.#used = 0;
    this.#records = 0;
    this.#newestMs = 0;
  }
}
