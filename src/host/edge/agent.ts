// The keep-alive connections to one capsule socket. Last in, first out, so that a quiet capsule's spare
// connections age out instead of being kept warm in turn.
import { Agent } from "node:http";

/** An agent for `Lease.agent`: one per capsule process, destroyed with it. */
export function capsuleAgent(): Agent {
  return new Agent({ keepAlive: true, scheduling: "lifo", maxFreeSockets: 64 });
}
