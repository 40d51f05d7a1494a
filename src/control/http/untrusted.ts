// JSON that came out of an account's sandbox, from its process or its keeper: bounded in bytes while it is read, decoded
// as a whole, and of the shape that was asked for before anybody believes it.
import type { Readable } from "node:stream";
import type { z } from "zod";
import { PlatformError } from "../../kernel/errors.ts";
import type { Room } from "./memory.ts";

export type UntrustedOptions = {
  readonly maxBytes: number;
  /** What the caller is told of an answer that is not one. */
  readonly otherwise: string;
  /** What the answer takes of the memory that large ones share. */
  readonly room?: Room | undefined;
};

/** @throws PlatformError capsule_failed for what is too long, breaks off or is of another shape, and as `room.take` */
export async function readUntrusted<S extends z.ZodType>(
  body: Readable,
  schema: S,
  { maxBytes, otherwise, room }: UntrustedOptions,
): Promise<z.output<S>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw new Error(`more than ${maxBytes} bytes`);
      room?.take(chunk.byteLength);
      chunks.push(chunk);
    }
    return schema.parse(JSON.parse(Buffer.concat(chunks).toString()));
  } catch (cause) {
    if (cause instanceof PlatformError) throw cause;
    throw new PlatformError("capsule_failed", { message: otherwise, cause });
  } finally {
    body.destroy();
  }
}
