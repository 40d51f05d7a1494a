// Cutting what is in flight when a capsule's signal aborts. One listener a signal however many requests hang
// on it: an EventTarget looks through all its listeners each time one is added.

const hanging = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `cut` when the signal aborts, at once when it has aborted already.
 *
 * @returns a function that forgets about it
 */
export function onAbort(signal: AbortSignal, cut: () => void): () => void {
  if (signal.aborted) {
    cut();
    return () => {};
  }
  let cuts = hanging.get(signal);
  if (cuts === undefined) {
    const made = new Set<() => void>();
    cuts = made;
    hanging.set(signal, made);
    signal.addEventListener(
      "abort",
      () => {
        for (const each of made) each();
        made.clear();
      },
      { once: true },
    );
  }
  cuts.add(cut);
  return () => cuts.delete(cut);
}
