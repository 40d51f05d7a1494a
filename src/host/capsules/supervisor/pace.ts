// How much CPU time was used of late: in slots of ten seconds, of which the last six are a minute.
const SLOT_MS = 10_000;
const SLOTS = 6;

export class Pace {
  readonly #slots = new Map<number, number>();

  add(nowMs: number, cpuMs: number): void {
    const slot = Math.floor(nowMs / SLOT_MS);
    this.#slots.set(slot, (this.#slots.get(slot) ?? 0) + cpuMs);
    for (const old of this.#slots.keys()) if (old <= slot - SLOTS) this.#slots.delete(old);
  }

  perMinute(nowMs: number): number {
    const oldest = Math.floor(nowMs / SLOT_MS) - SLOTS;
    let sum = 0;
    for (const [slot, cpuMs] of this.#slots) if (slot > oldest) sum += cpuMs;
    return sum;
  }
}
