// A value on its way from the API to the process, as `runtime/kv.js` reads it: frames of four bytes of length and so
// many bytes, an empty one, and one of metadata, which a form may send behind the value. Nothing is held but a frame.
import { Busboy } from "@fastify/busboy";
import { PassThrough, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { PlatformError } from "../../../kernel/errors.ts";
import { bodyStream, parseJson } from "../../http/body.ts";
import { toMetadata } from "./contract.ts";
import { METADATA_MAX_BYTES, VALUE_MAX_BYTES } from "./quota.ts";

const invalid = (message: string): PlatformError => new PlatformError("invalid_input", { message });
const tooLarge = (): PlatformError => new PlatformError("body_too_large", { message: `value: larger than ${VALUE_MAX_BYTES} bytes.` });
const brokeOff = (): PlatformError => invalid("body: broke off before its end.");

/** JSON with every character escaped. */
const METADATA_SENT_MAX_BYTES = METADATA_MAX_BYTES * 6;

function head(bytes: number): Buffer {
  const four = Buffer.allocUnsafe(4);
  four.writeUInt32BE(bytes);
  return four;
}

/** A whole value in memory. */
export function framed(value: Uint8Array, metadata: string | null): Buffer {
  const tail = Buffer.from(metadata ?? "");
  return Buffer.concat([...(value.byteLength > 0 ? [head(value.byteLength), value] : []), head(0), head(tail.byteLength), tail]);
}

export type ValueBody = {
  readonly frames: Readable;
  /** What is wrong with what was sent, once the frames have broken off over it. */
  problem(): PlatformError | undefined;
};

class Framing {
  readonly frames = new PassThrough({ highWaterMark: 131_072 });
  problem: PlatformError | undefined;
  #bytes = 0;
  #metadata: string | null = null;
  #hasValue = false;

  fail(problem: PlatformError): void {
    this.problem ??= problem;
    this.frames.destroy(problem);
  }

  async value(source: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.#hasValue) return this.fail(invalid("value: the form has it twice."));
    this.#hasValue = true;
    for await (const chunk of source) {
      this.#bytes += chunk.byteLength;
      if (this.#bytes > VALUE_MAX_BYTES) return this.fail(tooLarge());
      if (chunk.byteLength === 0) continue;
      this.frames.write(head(chunk.byteLength));
      if (!this.frames.write(chunk)) await this.#drained();
      if (this.problem) return;
    }
  }

  /** Also where the reader has gone. */
  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        this.frames.off("drain", go).off("close", go);
        resolve();
      };
      this.frames.on("drain", go).on("close", go);
      if (this.frames.destroyed) go();
    });
  }

  async metadata(source: AsyncIterable<Uint8Array>): Promise<void> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of source) {
      bytes += chunk.byteLength;
      if (bytes > METADATA_SENT_MAX_BYTES) return this.fail(invalid(`metadata: takes more than ${METADATA_MAX_BYTES} bytes as JSON.`));
      chunks.push(chunk);
    }
    const parsed = parseJson(Buffer.concat(chunks));
    if (!parsed.ok) return this.fail(invalid(`metadata: ${parsed.problem}.`));
    try {
      this.#metadata = toMetadata(parsed.value);
    } catch (error) {
      if (error instanceof PlatformError) this.fail(error);
      else throw error;
    }
  }

  end(): void {
    if (!this.#hasValue) return this.fail(invalid("value: missing from the form."));
    if (this.problem) return;
    const tail = Buffer.from(this.#metadata ?? "");
    this.frames.end(Buffer.concat([head(0), head(tail.byteLength), tail]));
  }
}

const LIMITS = { fieldNameSize: 100, headerPairs: 16, headerSize: 8192, parts: 4, fileSize: VALUE_MAX_BYTES + 1 };

/** Feeds the form to the framing, to its end. */
async function pourForm(body: Readable, contentType: string, framing: Framing): Promise<void> {
  const parts: Promise<void>[] = [];
  const parser = new Busboy({ headers: { "content-type": contentType }, isPartAFile: () => true, limits: LIMITS });
  parser.on("file", (name: string | undefined, stream: Readable) => {
    // The form as a whole reports why a part broke off.
    stream.on("error", () => undefined);
    const read = name === "value" ? framing.value(stream) : name === "metadata" ? framing.metadata(stream) : undefined;
    if (read === undefined)
      framing.fail(invalid(`${JSON.stringify((name ?? "").slice(0, 60))}: the form has value and metadata, nothing else.`));
    // What is refused is still read, or the form would never end.
    const part = Promise.resolve(read).catch(() => framing.fail(brokeOff()));
    parts.push(part.finally(() => stream.resume()));
  });
  parser.on("partsLimit", () => framing.fail(invalid("body: the form has more parts than value and metadata.")));
  await pipeline(body, parser);
  await Promise.all(parts);
}

async function pour(request: Request, framing: Framing): Promise<void> {
  const body = bodyStream(request);
  const type = request.headers.get("content-type") ?? "";
  try {
    if (!/^multipart\/form-data\b/i.test(type)) await framing.value(body as AsyncIterable<Uint8Array>);
    else await pourForm(body, type, framing);
  } catch (cause) {
    framing.fail(cause instanceof PlatformError ? cause : brokeOff());
  }
  framing.end();
}

/** Begins to read the request's body: the bytes of the value, or a form of `value` and `metadata`. */
export function readValue(request: Request): ValueBody {
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > VALUE_MAX_BYTES + 65_536) throw tooLarge();
  const framing = new Framing();
  // Whoever reads the frames hears of it; before that nobody listens.
  framing.frames.on("error", () => undefined);
  void pour(request, framing);
  return { frames: framing.frames, problem: () => framing.problem };
}
