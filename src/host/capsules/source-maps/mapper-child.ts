// The process of mapper-process.ts: one task on standard input, the mapped stack on standard output.
import { constants, setPriority } from "node:os";
import { buffer } from "node:stream/consumers";
import { deserialize } from "node:v8";
import { mapStack } from "./mapped-stack.ts";

/** Texts in UTF-8. */
export type MapTask = {
  readonly stack: string;
  readonly files: readonly { readonly name: string; readonly text: Uint8Array; readonly map: Uint8Array | null }[];
};

setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const task = deserialize(await buffer(process.stdin)) as MapTask;
const files = new Map(task.files.map((file) => [file.name, { text: text(file.text), map: file.map && text(file.map) }]));
process.stdout.write(mapStack(task.stack, files, { excerpt: true }));
