// Ends that do not read, and others that send byte by byte: what waits between them is bounded in number, and arrives
// whole and in order once it is read.
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Duplex, Readable } from "node:stream";
import { joinSockets } from "../../../src/host/edge/tunnel.ts";
import { MAX_UNTAKEN_WRITES } from "../../../src/host/edge/untaken.ts";
import { upload } from "../../../src/host/edge/upload.ts";

const BYTES = 5000;

/** An end whose far side takes nothing before it is told to. */
class Stalled extends Duplex {
  writes = 0;
  text = "";
  #wake: (() => void) | null = null;
  #open = false;

  constructor() {
    super({ highWaterMark: 65_536 });
  }

  override write(...args: never[]): boolean {
    this.writes++;
    return (super.write as (...args: never[]) => boolean)(...args);
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: BufferEncoding, written: () => void): void {
    this.text += bytes.toString("latin1");
    if (this.#open) written();
    else this.#wake = written;
  }

  release(): void {
    this.#open = true;
    this.#wake?.();
  }
}

const byteAt = (at: number): string => String.fromCharCode(97 + (at % 26));
const whole = Array.from({ length: BYTES }, (_, at) => byteAt(at)).join("");

describe("a far end that reads nothing", () => {
  test("of joined sockets lets few bytes wait that come one by one, and gets them all when it reads", async () => {
    const [from, to] = [new Stalled(), new Stalled()];
    joinSockets(from, Buffer.alloc(0), to, Buffer.alloc(0), { halfOpen: true });
    for (let at = 0; at < BYTES; at++) {
      from.push(byteAt(at));
      if (at % 50 === 0) await turn();
    }
    assert.ok(to.writes <= MAX_UNTAKEN_WRITES, `${to.writes} writes wait`);
    to.release();
    while (to.text.length < BYTES) await turn();
    assert.equal(to.text, whole);
    from.destroy();
    to.destroy();
  });

  for (const coding of [{ "transfer-encoding": "chunked" }, { "content-length": String(BYTES) }]) {
    test(`of an upload with ${Object.keys(coding)[0]} does the same`, async () => {
      const to = new Stalled();
      const incoming = Object.assign(new Readable({ read() {}, highWaterMark: 1 }), { headers: coding });
      const connection = {
        write: (bytes: Buffer | string, taken?: () => void) => to.write(...([bytes, "latin1", taken] as never[])),
        cork: () => to.cork(),
        uncork: () => to.uncork(),
        finish: () => to.end(),
        destroyed: false,
      };
      upload(incoming as unknown as IncomingMessage, connection);
      for (let at = 0; at < BYTES; at++) {
        incoming.push(byteAt(at));
        if (at % 50 === 0) await turn();
      }
      incoming.push(null);
      assert.ok(to.writes <= 3 * MAX_UNTAKEN_WRITES, `${to.writes} writes wait`);
      to.release();
      while (!to.writableFinished) await turn();
      const body = "transfer-encoding" in coding ? to.text.replaceAll(/[0-9a-f]+\r\n([a-z]*)\r\n/g, "$1") : to.text;
      assert.equal(body, whole);
    });
  }

  test("of an upload that is gone keeps nobody from sending the rest", async () => {
    const incoming = Object.assign(new Readable({ read() {}, highWaterMark: 1 }), { headers: { "content-length": String(BYTES) } });
    const nothing = (): never => assert.fail("nothing is written any more");
    upload(incoming as unknown as IncomingMessage, { write: nothing, cork: nothing, uncork() {}, finish: nothing, destroyed: true });
    for (let at = 0; at < BYTES; at++) {
      incoming.push(byteAt(at));
      if (at % 50 === 0) await turn();
    }
    incoming.push(null);
    while (!incoming.readableEnded) await turn();
  });
});
