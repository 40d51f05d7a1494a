// Rate limit bindings: how often each key was used in the window that runs, by the account's namespace and period.
// All Workers of the process share the counts, which are in memory alone and bounded: of too many keys the oldest go.
import { WorkerEntrypoint } from "cloudflare:workers";

const MAX_KEYS = 50_000;
/** Longer ones are told apart by their digest, so that keys take no more memory than their number allows. */
const MAX_KEY_CHARS = 128;

/** `namespace/period` → {window, counts}: windows begin at multiples of the period. */
const windows = new Map();
let kept = 0;

async function nameOf(key) {
  if (key.length <= MAX_KEY_CHARS) return key;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
  return `sha256:${new Uint8Array(digest).toHex()}`;
}

/** The counts of the window that runs; those of the one before are forgotten. */
function countsOf(namespace, period) {
  const name = `${namespace}/${period}`;
  const window = Math.floor(Date.now() / (period * 1000));
  const known = windows.get(name);
  if (known?.window === window) return known.counts;
  kept -= known?.counts.size ?? 0;
  const counts = new Map();
  windows.set(name, { window, counts });
  return counts;
}

function makeRoom() {
  for (const { counts } of windows.values()) {
    const [oldest] = counts.keys();
    if (oldest === undefined) continue;
    counts.delete(oldest);
    kept--;
    return;
  }
}

export class RateLimit extends WorkerEntrypoint {
  async limit(options) {
    const key = options?.key;
    if (typeof key !== "string") throw new TypeError("limit() takes an object with a key, which must be a string.");
    const { namespace, limit, period } = this.ctx.props;
    const name = await nameOf(key);
    const counts = countsOf(namespace, period);
    const used = counts.get(name) ?? 0;
    if (used >= limit) return { success: false };
    if (used === 0) {
      if (kept >= MAX_KEYS) makeRoom();
      kept++;
    }
    counts.set(name, used + 1);
    return { success: true };
  }
}

export default {
  fetch: () => new Response(null, { status: 404 }),
};
