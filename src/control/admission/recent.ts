// A map that keeps to a number of entries by forgetting the one that was set longest ago: a flood from more callers than
// that is nobody's in particular.
const MOST_ENTRIES = 10_000;

export class Recent<V> {
  readonly #most: number;
  readonly #entries = new Map<string, V>();

  constructor(most = MOST_ENTRIES) {
    this.#most = most;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    return this.#entries.get(key);
  }

  set(key: string, value: V): void {
    this.#entries.delete(key);
    if (this.#entries.size >= this.#most) this.#entries.delete(this.#entries.keys().next().value ?? "");
    this.#entries.set(key, value);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
