// Time that may be spent: it comes back at a steady rate up to a most, and may be overdrawn by what was under way.

export class Allowance {
  readonly #mostMs: number;
  readonly #rate: number;
  #leftMs: number;
  #atMs: number;

  /** @param mostMs to spend after a rest; @param rate share of the time that comes back, 0 to 1 */
  constructor(mostMs: number, rate: number, nowMs: number) {
    this.#mostMs = mostMs;
    this.#rate = rate;
    this.#leftMs = mostMs;
    this.#atMs = nowMs;
  }

  #refill(nowMs: number): void {
    this.#leftMs = Math.min(this.#mostMs, this.#leftMs + (nowMs - this.#atMs) * this.#rate);
    this.#atMs = nowMs;
  }

  /** Whether anything is left. */
  left(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#leftMs > 0;
  }

  full(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#leftMs === this.#mostMs;
  }

  spend(ms: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#leftMs -= ms;
  }
}
