// Ours, for products that answer inside the process: nothing waits for anything outside there, and workerd looks at its
// sockets only when there is nothing else left to do. A Worker that asks in a loop would shut everybody out, the watchdog first.

/** Milliseconds of answers in a row, after which whoever else waits has a turn. */
const TURN_MS = 20;
/** When a timer last rang, which it does only once the others were let in; and since when one is waited for. */
let turnAtMs = 0;
let askedAtMs = 0;

async function turn() {
  await scheduler.wait(1);
  turnAtMs = Date.now();
}

/**
 * Waits a moment for a timer, which lets the others in, where that is due: whoever comes after a pause only sets one,
 * and waits for it no more than anybody else until it has not rung for so long.
 */
export async function giveWay(ctx) {
  const now = Date.now();
  if (now - turnAtMs < TURN_MS) return;
  if (askedAtMs <= turnAtMs) {
    askedAtMs = now;
    ctx.waitUntil(turn());
  } else if (now - askedAtMs >= TURN_MS) await turn();
}
