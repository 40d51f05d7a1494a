// Bytes between a Worker and the outside, counted as they flow, and cut at the cap.
import type { Duplex } from "node:stream";
import { joinSockets } from "../edge/tunnel.ts";
import type { Allowance } from "./allowance.ts";
import type { EgressRefusal } from "./refusal.ts";
import type { Target } from "./target.ts";

export type Metering = Pick<Allowance, "passed" | "tell">;

/** Counts bytes until the cap, where `cut` is called with the reason, once, and the answer is false. */
export function meter(allowance: Metering, cut: (refusal: EgressRefusal) => void): (bytes: number) => boolean {
  let over = false;
  return (bytes) => {
    const refusal = over ? null : allowance.passed(bytes);
    if (refusal !== null) {
      over = true;
      cut(refusal);
    }
    return !over;
  };
}

type End = readonly [socket: Duplex, head: Buffer];

/** Makes two sockets one, until the cap. @param halfOpen whether one direction may go on after the other has ended */
export function join(allowance: Metering, target: Target, [a, headA]: End, [b, headB]: End, halfOpen: boolean): void {
  const passed = meter(allowance, (refusal) => {
    allowance.tell(refusal, target);
    a.destroy();
    b.destroy();
  });
  if (passed(headA.length + headB.length)) joinSockets(a, headA, b, headB, { halfOpen, passed });
}
