// multipart/form-data, bounded while it streams in: no more than `maxBytes` of it is ever held, no more than
// `maxParts` parts are begun. A part's name is kept as it was sent; it may hold slashes and is never a path here.
import { Busboy } from "@fastify/busboy";
import { PlatformError } from "../../kernel/errors.ts";
import type { Room } from "./memory.ts";

export type Part = {
  readonly name: string;
  readonly fileName: string | undefined;
  /** Lower case, without parameters; `text/plain` where the part names none. */
  readonly type: string;
  readonly bytes: Buffer;
};

export type FormLimits = {
  readonly maxBytes: number;
  readonly maxParts: number;
  /** What the form may take of the memory that all bodies share. */
  readonly room?: Room;
};

/** What a caller wants thrown: each product has codes of its own for a bad upload. */
export type FormRefusals = {
  readonly malformed: (message: string) => PlatformError;
  readonly tooLarge: (message: string) => PlatformError;
};

const NAME_MAX_BYTES = 1024;
const HEADERS_MAX = 16;
const HEADERS_MAX_BYTES = 8192;

/** Of a body that is refused already, read to its end all the same. */
const discardMaxBytes = ({ maxBytes }: FormLimits): number => maxBytes * 2;

class Form {
  readonly parts: Part[] = [];
  readonly #limits: FormLimits;
  readonly #refuse: FormRefusals;
  readonly #parser: InstanceType<typeof Busboy>;
  readonly #done: Promise<void>;
  #problem: PlatformError | null = null;
  #size = 0;

  constructor(contentType: string, limits: FormLimits, refuse: FormRefusals) {
    this.#limits = limits;
    this.#refuse = refuse;
    this.#parser = new Busboy({
      headers: { "content-type": contentType },
      preservePath: true,
      isPartAFile: () => true,
      limits: {
        fieldNameSize: NAME_MAX_BYTES,
        headerPairs: HEADERS_MAX,
        headerSize: HEADERS_MAX_BYTES,
        parts: limits.maxParts + 1,
        fileSize: limits.maxBytes,
      },
    });
    this.#done = new Promise((resolve) => {
      this.#parser.once("finish", resolve);
      this.#parser.on("error", () => {
        this.#problem ??= refuse.malformed("body: the multipart form breaks off or is not well-formed.");
        resolve();
      });
    });
    this.#parser.on("file", (name, stream, fileName, _encoding, type) => this.#part(name ?? "", fileName, type, stream));
    this.#parser.on("partsLimit", () => this.#tooMany());
  }

  #tooMany(): void {
    this.#problem ??= this.#refuse.malformed(`body: the form has more than ${this.#limits.maxParts} parts.`);
  }

  #part(name: string, fileName: string | undefined, type: string, stream: NodeJS.ReadableStream): void {
    const chunks: Buffer[] = [];
    // As nul.ts has it for paths and fields; what a name may hold each product says itself.
    if (type.includes("\0")) this.#problem ??= this.#refuse.malformed("body: a part's Content-Type holds a NUL character.");
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    // The form as a whole reports why a part broke off.
    stream.on("error", () => undefined);
    stream.on("end", () => {
      if (this.parts.length === this.#limits.maxParts) return this.#tooMany();
      this.parts.push({ name, fileName, type: type.toLowerCase(), bytes: Buffer.concat(chunks) });
    });
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#size += chunk.byteLength;
    if (this.#size > this.#limits.maxBytes) {
      this.#problem ??= this.#refuse.tooLarge(`body: larger than ${this.#limits.maxBytes} bytes.`);
    }
    if (!this.#problem) this.#take(chunk.byteLength);
    // A client that is still sending reads no answer: what is somewhat too much is taken and thrown away.
    if (this.#problem && this.#size <= discardMaxBytes(this.#limits)) return;
    this.#check();
    if (this.#parser.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))) return;
    await Promise.race([new Promise((resolve) => this.#parser.once("drain", resolve)), this.#done]);
  }

  #take(bytes: number): void {
    try {
      this.#limits.room?.take(bytes);
    } catch (error) {
      if (!(error instanceof PlatformError)) throw error;
      this.#problem = error;
    }
  }

  async end(): Promise<readonly Part[]> {
    this.#check();
    if (this.#size === 0) throw this.#refuse.malformed("body: empty, where a multipart form is expected.");
    this.#parser.end();
    await this.#done;
    this.#check();
    return this.parts;
  }

  #check(): void {
    if (this.#problem) throw this.#problem;
  }
}

/** What the official SDK calls the forms of its uploads, and the JSON that it sends in place of one without files. */
const MISNAMED = "application/javascript";
const BOUNDARY = "mayfly-json-in-place-of-a-form";
/** Such JSON is taken as a form's only part, `body`. */
const JSON_HEAD = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="body"\r\nContent-Type: application/json\r\n\r\n`;
const JSON_END = `\r\n--${BOUNDARY}--\r\n`;

/** The type of a form that is called something else, by the boundary that it begins with; empty where it begins with none. */
function typeByItsBegin(chunk: Uint8Array): string {
  if (chunk[0] === 0x7b) return `multipart/form-data; boundary=${BOUNDARY}`;
  const [, boundary] = /^--([\w'()+,./:=?-]{1,70})\r\n/.exec(Buffer.from(chunk.subarray(0, 80)).toString("latin1")) ?? [];
  return boundary === undefined ? "" : `multipart/form-data; boundary="${boundary}"`;
}

function begin(type: string, limits: FormLimits, refuse: FormRefusals): Form {
  if (!/^multipart\/form-data\s*;.*boundary=/is.test(type)) {
    throw refuse.malformed("Content-Type: must be multipart/form-data with a boundary.");
  }
  try {
    return new Form(type, limits, refuse);
  } catch {
    throw refuse.malformed("Content-Type: its boundary cannot be read.");
  }
}

/**
 * The parts of a form in the order they were sent.
 * @param limits `maxBytes` of the whole body @throws PlatformError what `refuse` makes; nothing else for bad input
 */
export async function readForm(request: Request, limits: FormLimits, refuse: FormRefusals): Promise<readonly Part[]> {
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > discardMaxBytes(limits)) throw refuse.tooLarge(`body: larger than ${limits.maxBytes} bytes.`);
  const type = request.headers.get("content-type") ?? "";
  let isJson = false;
  let form = type === MISNAMED ? null : begin(type, limits, refuse);
  try {
    for await (const chunk of request.body ?? []) {
      if (form === null) {
        form = begin(typeByItsBegin(chunk), limits, refuse);
        isJson = chunk[0] === 0x7b;
        if (isJson) await form.write(Buffer.from(JSON_HEAD));
      }
      await form.write(chunk);
    }
    if (isJson) await form?.write(Buffer.from(JSON_END));
  } catch (cause) {
    if (cause instanceof PlatformError) throw cause;
    throw refuse.malformed("body: broke off before its end.");
  }
  return (form ?? begin("", limits, refuse)).end();
}
