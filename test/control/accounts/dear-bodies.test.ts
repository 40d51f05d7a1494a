// Bodies of answers to dear challenges: as many at once as memory has room for, and of one network only a share.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openOps, type Ops } from "../../fixtures/operator.ts";

const MIB = 1_048_576;

/** A body that has sent so many bytes and does not end before it is told to. */
function sending(ops: Ops, address: string, bytes: number) {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      if (sent < bytes) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536).fill(0x20));
        return;
      }
      await ended;
      controller.close();
    },
  });
  const request = new Request("http://localhost:8787/client/v4/provisioning/previews", {
    method: "POST",
    headers: { host: "localhost:8787" },
    body,
    duplex: "half",
  });
  const from = { incoming: { socket: { remoteAddress: address } } } as never;
  const answer = Promise.resolve(ops.control.app.request(request, undefined, from)).then(async (response) => {
    const { errors } = (await response.json()) as { errors: { message: string }[] };
    return { status: response.status, message: errors[0]?.message ?? "" };
  });
  return { answer, end, sent: () => sent };
}

const settle = async (until: () => boolean): Promise<void> => {
  while (!until()) await new Promise((resolve) => setImmediate(resolve));
};

test("of one network's bodies only a share is held at once, and none of it when they are through", async () => {
  await using ops = await openOps();
  // As after a start, when the dearest challenge of before can still be answered.
  const held = Array.from({ length: 8 }, (_, at) => sending(ops, `192.0.2.${at}`, 2 * MIB));
  await settle(() => held.every(({ sent }) => sent() === 2 * MIB));
  const ninth = sending(ops, "192.0.2.200", 2 * MIB);
  ninth.end();
  const refused = await ninth.answer;
  assert.equal(refused.status, 503, refused.message);
  assert.match(refused.message, /^This network has as much under way at once as it may/);
  const usual = sending(ops, "192.0.2.201", 65_536);
  usual.end();
  assert.match((await usual.answer).message, /not JSON/, "what a usual answer needs is nobody's share");
  const elsewhere = sending(ops, "198.51.100.1", 2 * MIB);
  elsewhere.end();
  assert.match((await elsewhere.answer).message, /not JSON/);
  for (const { end } of held) end();
  for (const { answer } of held) assert.match((await answer).message, /not JSON/);
  const after = sending(ops, "192.0.2.200", 2 * MIB);
  after.end();
  assert.match((await after.answer).message, /not JSON/);
});
