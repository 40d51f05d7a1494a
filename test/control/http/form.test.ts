// Forms: what arrives is what was sent, within bounds that hold while it streams in.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readForm, type FormLimits } from "../../../src/control/http/form.ts";
import { BodyMemory } from "../../../src/control/http/memory.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";

const refusals = {
  malformed: (message: string) => new PlatformError("invalid_input", { message }),
  tooLarge: (message: string) => new PlatformError("body_too_large", { message }),
};
const LIMITS: FormLimits = { maxBytes: 10_000, maxParts: 3 };

async function request(form: FormData, chunkBytes = 7): Promise<Request> {
  const encoded = new Response(form);
  const type = encoded.headers.get("content-type") ?? "";
  const bytes = await encoded.bytes();
  let at = 0;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, (at += chunkBytes)));
    },
  });
  return new Request("http://x/", { method: "POST", headers: { "content-type": type }, body, duplex: "half" });
}

const read = async (form: FormData, limits = LIMITS, chunkBytes = 7) => readForm(await request(form, chunkBytes), limits, refusals);
const refused = (code: string) => (error: unknown) => error instanceof PlatformError && error.code === code;

describe("A form", () => {
  test("keeps names, types and bytes, however it is cut into chunks", async () => {
    const form = new FormData();
    const bytes = Uint8Array.from({ length: 512 }, (_, at) => at % 256);
    form.append("metadata", "{}");
    form.append("./dir/ü.js", new File([bytes], "./dir/ü.js", { type: "application/javascript+module" }));
    for (const chunkBytes of [1, 3, 64, 10_000]) {
      const parts = await read(form, LIMITS, chunkBytes);
      assert.deepEqual(
        parts.map(({ name, type }) => [name, type]),
        [
          ["metadata", "text/plain"],
          ["./dir/ü.js", "application/javascript+module"],
        ],
      );
      assert.deepEqual(parts[1]?.bytes, Buffer.from(bytes));
    }
  });

  test("with a NUL in a part's type is refused", async () => {
    const body = `--B\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: text/\0plain\r\n\r\nx\r\n--B--\r\n`;
    const sent = new Request("http://x/", { method: "POST", headers: { "content-type": "multipart/form-data; boundary=B" }, body });
    await assert.rejects(readForm(sent, LIMITS, refusals), (error) => refused("invalid_input")(error) && /NUL/.test(String(error)));
  });

  test("with more bytes or parts than allowed is refused, with exactly as many taken", async () => {
    const form = new FormData();
    for (const name of ["a", "b", "c"]) form.append(name, "x");
    assert.equal((await read(form)).length, 3);
    form.append("d", "x");
    await assert.rejects(read(form), refused("invalid_input"));
    const large = new FormData();
    large.append("a", "x".repeat(10_001));
    await assert.rejects(read(large, LIMITS, 1000), refused("body_too_large"));
    large.append("b", "x".repeat(30_000));
    await assert.rejects(read(large, LIMITS, 1000), refused("body_too_large"));
  });

  test("waits outside while others hold the memory for bodies", async () => {
    const memory = new BodyMemory(1500, 1500);
    const form = new FormData();
    form.append("a", "x".repeat(1000));
    {
      using first = memory.open("ada");
      await read(form, { ...LIMITS, room: first });
      using second = memory.open("grace");
      await assert.rejects(read(form, { ...LIMITS, room: second }), refused("capsule_failed"));
    }
    using third = memory.open("grace");
    assert.equal((await read(form, { ...LIMITS, room: third })).length, 1);
  });

  test("of one account never takes the memory that another's needs", async () => {
    const memory = new BodyMemory(4000, 1500);
    const form = new FormData();
    form.append("a", "x".repeat(1000));
    using first = memory.open("ada");
    await read(form, { ...LIMITS, room: first });
    using second = memory.open("ada");
    await assert.rejects(read(form, { ...LIMITS, room: second }), /This account has as much under way at once as it may/);
    using other = memory.open("grace");
    assert.equal((await read(form, { ...LIMITS, room: other })).length, 1);
  });

  test("whose body fails half-way is malformed, not a bug", async () => {
    const body = new ReadableStream({ pull: (controller) => controller.error(new Error("reset")) });
    const headers = { "content-type": "multipart/form-data; boundary=XX" };
    const broken = new Request("http://x/", { method: "POST", headers, body, duplex: "half" });
    await assert.rejects(readForm(broken, LIMITS, refusals), refused("invalid_input"));
  });
});
