// Callers that wait for a change, each at most so long: all are woken at once and look again for themselves.

export class Waiters {
  #waiting = new Set<() => void>();

  get size(): number {
    return this.#waiting.size;
  }

  /** Resolves true at the next `wake`, false after `withinMs`. */
  wait(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(wake);
        resolve(false);
      }, withinMs);
      this.#waiting.add(wake);
    });
  }

  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }
}
