// Values and names as SQL text that gives back the very same: bytes, numbers to the last bit, and nothing that depends on
// how a reader treats control characters.
import { isUtf8 } from "node:buffer";
import type { SQLOutputValue } from "node:sqlite";

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function hex(bytes: Uint8Array): string {
  return `X'${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex").toUpperCase()}'`;
}

/** @param bytes as stored: a tenant can store text that is none. */
function text(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.includes(0) || !isUtf8(buffer)) return `CAST(${hex(bytes)} AS TEXT)`;
  return `'${buffer.toString("utf8").replaceAll("'", "''")}'`;
}

function real(value: number): string {
  if (value === Infinity) return "9.0e+999";
  if (value === -Infinity) return "-9.0e+999";
  const digits = String(value);
  return /[.e]/.test(digits) ? digits : `${digits}.0`;
}

const LEAST_INTEGER = -(2n ** 63n);

/** @param value an integer as bigint, text as its bytes. @param type first letter of SQLite's typeof(). */
export function literal(value: SQLOutputValue | undefined, type: string | undefined): string {
  if (typeof value === "bigint") return value === LEAST_INTEGER ? "(-9223372036854775807-1)" : String(value);
  if (typeof value === "number") return real(value);
  if (value instanceof Uint8Array) return type === "t" ? text(value) : hex(value);
  return "NULL";
}
