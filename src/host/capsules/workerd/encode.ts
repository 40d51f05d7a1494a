// A configuration becomes the binary message that `workerd serve --binary -` reads, so that secrets travel
// over a pipe and never touch the disk. Every field name is checked against the generated schema.
import { Message, type Struct } from "capnp-es";
import { Config } from "./workerd-schema.js";
import type { WorkerdConfig } from "./workerd-config.ts";

type Plain = { readonly [field: string]: Value };
type Value = string | number | boolean | null | undefined | Uint8Array | Plain | readonly string[] | readonly Plain[];

/** What the generated classes have in common, reached by computed names. */
type Fields = Record<string, unknown> & { constructor: Record<string, unknown> };
type Bytes = { copyBuffer(source: Uint8Array): void };
type Elements = { get(index: number): Struct; set(index: number, text: string): void };

const capital = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);

function init(target: Fields, field: string, length?: number): unknown {
  const start = target[`_init${capital(field)}`];
  if (typeof start !== "function") throw new TypeError(`workerd's ${target.constructor["name"] as string}.${field} takes no such value`);
  return (start as (length?: number) => unknown).call(target, length);
}

/** The number of an enumeration's member, or the text itself where the field is text. */
function scalar(target: Fields, field: string, value: string | number | boolean): string | number | boolean {
  const members = target.constructor[capital(field)];
  if (typeof value !== "string" || typeof members !== "object" || members === null) return value;
  const number = (members as Record<string, unknown>)[value.toUpperCase()];
  if (typeof number !== "number") throw new TypeError(`workerd's ${field} has no member ${value}`);
  return number;
}

function fillList(target: Fields, field: string, values: readonly (string | Plain)[]): void {
  const list = init(target, field, values.length) as Elements;
  for (const [index, value] of values.entries()) {
    if (typeof value === "string") list.set(index, value);
    else fill(list.get(index), value);
  }
}

function fill(struct: Struct, values: Plain): void {
  const target = struct as unknown as Fields;
  for (const [field, value] of Object.entries(values)) {
    if (value === undefined) continue;
    if (!(field in target)) throw new TypeError(`workerd's ${target.constructor.name as string} has no field ${field}`);
    if (value instanceof Uint8Array) (init(target, field, value.length) as Bytes).copyBuffer(value);
    else if (Array.isArray(value)) fillList(target, field, value as readonly (string | Plain)[]);
    // A member without a value is chosen by assigning anything to it.
    else if (value === null) target[field] = true;
    else if (typeof value === "object") fill(init(target, field) as Struct, value as Plain);
    else target[field] = scalar(target, field, value);
  }
}

/**
 * The unpacked Cap'n Proto message of a configuration, for `workerd serve|test --binary -`.
 * @throws TypeError for a field or enumeration member that the pinned workerd does not have.
 */
export function encodeConfig(config: WorkerdConfig): Uint8Array {
  const message = new Message();
  fill(message.initRoot(Config), config);
  return new Uint8Array(message.toArrayBuffer());
}
