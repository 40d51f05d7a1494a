// The bounds on starting and living processes.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Gate, Places, type Occupant } from "../../../../src/host/capsules/supervisor/gates.ts";

const never = new AbortController().signal;

describe("the gate", () => {
  test("lets as many in as it has places, the rest in their order", async () => {
    const gate = new Gate(2);
    const entered: number[] = [];
    const visits = [0, 1, 2, 3].map(async (i) => {
      const place = await gate.enter(never);
      entered.push(i);
      return place;
    });
    await turn();
    assert.deepEqual(entered, [0, 1]);
    const first = await visits[0];
    first?.[Symbol.dispose]();
    first?.[Symbol.dispose]();
    await turn();
    assert.deepEqual(entered, [0, 1, 2], "a place given back twice counts once");
  });

  test("forgets who is called off while waiting", async () => {
    const gate = new Gate(1);
    const held = await gate.enter(never);
    const off = new AbortController();
    const waiting = gate.enter(off.signal);
    const next = gate.enter(never);
    off.abort(new Error("called off"));
    await assert.rejects(waiting, /called off/);
    held[Symbol.dispose]();
    await next;
    await assert.rejects(gate.enter(off.signal), /called off/);
  });
});

describe("the places", () => {
  test("the least recently used idle occupant makes room, one in use never", async () => {
    const stopped: string[] = [];
    const held = new Map<string, Disposable>();
    const occupant = (name: string, idleSinceMs: number | null): Occupant => ({
      idleSinceMs,
      async stopIdle() {
        stopped.push(name);
        occupants.delete(name);
        held.get(name)?.[Symbol.dispose]();
      },
    });
    const occupants = new Map<string, Occupant>();
    const places = new Places(
      3,
      () => occupants.values(),
      () => false,
    );
    for (const [name, idle] of [
      ["busy", null],
      ["older", 5],
      ["newer", 9],
    ] as const) {
      held.set(name, await places.take());
      occupants.set(name, occupant(name, idle));
    }
    await places.take();
    assert.deepEqual(stopped, ["older"]);
    await places.take();
    assert.deepEqual(stopped, ["older", "newer"]);
    await assert.rejects(places.take(), { code: "capsule_failed", retryAfterSeconds: 2 });
    assert.equal(places.taken, 3);
  });
});
