// What a case answered, as JSON that keeps what JSON drops: undefined, bytes, dates, maps, class names, errors with
// all that they carry. Nothing is left out or evened out here but the run's own mark and ids of objects.

/** Bytes up to this number are shown one by one, more by their number and sum. */
const SHOWN_BYTES = 64;
const SHOWN_CHARACTERS = 2000;

function showBytes(value) {
  const bytes = new Uint8Array(value.buffer ?? value, value.byteOffset ?? 0, value.byteLength);
  if (bytes.length <= SHOWN_BYTES) return [...bytes];
  let sum = 0;
  for (const byte of bytes) sum = (sum * 31 + byte) % 4_294_967_291;
  return { bytes: bytes.length, sum };
}

function showObject(value) {
  const entries = Object.entries(value).map(([key, each]) => [key, show(each)]);
  const name = Object.getPrototypeOf(value)?.constructor?.name ?? "null";
  return name === "Object" ? Object.fromEntries(entries) : { [`<${name}>`]: Object.fromEntries(entries) };
}

function showPrimitive(value) {
  if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0)))
    return `<number ${Object.is(value, -0) ? "-0" : value}>`;
  if (typeof value === "string" && value.length > SHOWN_CHARACTERS) return `${value.slice(0, 40)}… <${value.length} characters>`;
  if (value === null || ["number", "string", "boolean"].includes(typeof value)) return value;
  return `<${typeof value}${value === undefined ? "" : ` ${String(value).slice(0, 60)}`}>`;
}

/** @returns what JSON.stringify takes whole */
export function show(value) {
  if (typeof value !== "object" || value === null) return showPrimitive(value);
  if (value instanceof Error) return { "<Error>": tell(value) };
  if (Array.isArray(value)) return Array.from(value, show);
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return { [`<${value.constructor.name}>`]: showBytes(value) };
  if (value instanceof Date) return `<Date ${Number.isNaN(value.getTime()) ? "invalid" : value.toISOString()}>`;
  if (value instanceof RegExp) return `<RegExp ${value}>`;
  if (value instanceof Map) return { "<Map>": Array.from(value, show) };
  if (value instanceof Set) return { "<Set>": Array.from(value, show) };
  if (value instanceof ReadableStream) return "<ReadableStream>";
  return showObject(value);
}

/** What was thrown: name, message, the class, its own properties and its cause; never the stack, whose paths differ. */
export function tell(thrown) {
  if (!(thrown instanceof Error)) return { thrown: show(thrown) };
  const own = Object.keys(thrown).filter((key) => key !== "stack");
  return {
    name: thrown.name,
    class: thrown.constructor.name,
    message: thrown.message,
    ...Object.fromEntries(own.map((key) => [key, show(thrown[key])])),
    ...(thrown.cause !== undefined && { cause: thrown.cause instanceof Error ? tell(thrown.cause) : show(thrown.cause) }),
  };
}

/** The error that `deed` ends in, told; for cases that look at several. */
export async function refusal(deed) {
  try {
    return { value: show(await deed()) };
  } catch (thrown) {
    return { error: tell(thrown) };
  }
}

/** Runs one after the other. @returns each one's value or error, by name */
export async function each(deeds) {
  const told = {};
  for (const [name, deed] of Object.entries(deeds)) told[name] = await refusal(deed);
  return told;
}
