// Ours, for products that answer inside the process: nothing waits for anything outside there, and workerd looks at its
// sockets only when there is nothing else left to do. A Worker that asks in a loop would shut everybody out, the watchdog first.

/** Milliseconds of answers in a row, after which whoever else waits has a turn. */
const TURN_MS = 20;
let turnAtMs = 0;

/** Waits a moment for a timer, which lets the others in, where the last one is long ago. */
export async function giveWay() {
  if (Date.now() - turnAtMs < TURN_MS) return;
  await scheduler.wait(1);
  turnAtMs = Date.now();
}
