// Cron expressions in the dialect of Cloudflare's own parser (saffron), in UTC, translated into what croner takes. Where
// the two differ, saffron has its way: weekdays run from 1 (Sunday) to 7, `5/15` steps to the field's end, a range may
// run over the end (`FRI-MON`), L, W and # stand alone in their field, and neither `?`, names like @daily nor seconds exist.
import { Cron } from "croner";
import { PlatformError } from "../../../kernel/errors.ts";

/** Characters of an expression. */
export const CRON_MAX = 250;

type Field = { readonly title: string; readonly least: number; readonly most: number; readonly names: readonly string[] };

const FIELDS: readonly Field[] = [
  { title: "minute", least: 0, most: 59, names: [] },
  { title: "hour", least: 0, most: 23, names: [] },
  { title: "day of month", least: 1, most: 31, names: [] },
  { title: "month", least: 1, most: 12, names: "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(" ") },
  { title: "day of week", least: 1, most: 7, names: "SUN MON TUE WED THU FRI SAT".split(" ") },
];

/** Completes the sentence "…: the minute …". */
class Unreadable extends Error {}

function valueOf(text: string, { title, least, most, names }: Field): number {
  const named = names.indexOf(text.toUpperCase()) + 1;
  const value = named > 0 ? named : /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const known = names.length === 0 ? "" : `, or a name such as ${names[0]}`;
  throw new Unreadable(`the ${title} ${JSON.stringify(text.slice(0, 20))} is no number from ${least} to ${most}${known}`);
}

/** Values of one part of a list: a value, a range or steps. */
function valuesOf(part: string, field: Field): number[] {
  const [, first = "", last, step] = /^(\*|[^-/]+)(?:-([^-/]+))?(?:\/(.+))?$/.exec(part) ?? [];
  const { least, most } = field;
  if (first === "" || (first === "*" && (last !== undefined || step === undefined))) {
    throw new Unreadable(`the ${field.title} has the part ${JSON.stringify(part.slice(0, 20))}, which is no value, range or step`);
  }
  const from = first === "*" ? least : valueOf(first, field);
  const to = last === undefined ? (step === undefined ? from : most) : valueOf(last, field);
  const every = step === undefined ? 1 : valueOf(step, { ...field, title: `step of the ${field.title}`, least: 1, names: [] });
  const size = most - least + 1;
  const length = ((to - from + size) % size) + 1;
  return Array.from({ length }, (_, at) => least + ((from - least + at) % size)).filter((_, at) => at % every === 0);
}

/** The forms that say a day by its place in the month; null for all others. */
function calendarForm(text: string, at: number): string | null {
  const field = FIELDS[at] as Field;
  if (field.title === "day of month") {
    if (text === "L" || text === "LW") return text;
    if (text.startsWith("L-")) throw new Unreadable("the day of month counts back from the last one, which does not work here");
    const [, day] = /^(\d+)W$/.exec(text) ?? [];
    return day === undefined ? null : `${valueOf(day, field)}W`;
  }
  if (field.title !== "day of week") return null;
  if (text === "L") return String(field.most);
  const [, day, place] = /^(\w+?)(L|#[1-5])$/.exec(text) ?? [];
  return day === undefined || place === undefined ? null : `${valueOf(day, field)}${place}`;
}

function translated(text: string, at: number): string {
  const field = FIELDS[at] as Field;
  if (text === "*") return "*";
  const form = calendarForm(text, at);
  if (form !== null) return form;
  const values = new Set(text.split(",").flatMap((part) => valuesOf(part, field)));
  return [...values].toSorted((one, other) => one - other).join(",");
}

function parse(text: string): Cron {
  const fields = text.trim().split(/[ \t]+/);
  if (text.trim() === "" || fields.length !== FIELDS.length) {
    throw new Unreadable(`it has ${text.trim() === "" ? 0 : fields.length} fields, not ${FIELDS.length}`);
  }
  const pattern = fields.map(translated).join(" ");
  // Never started: it is asked for times alone.
  return new Cron(pattern, { mode: "5-part", timezone: "UTC", alternativeWeekdays: true, paused: true });
}

/** @throws PlatformError invalid_cron, naming the field; also for times that never come */
export function checkCron(text: string): void {
  const refuse = (problem: string): never => {
    throw new PlatformError("invalid_cron", { message: `cron: ${JSON.stringify(text.slice(0, 80))}: ${problem}.` });
  };
  if (text.length > CRON_MAX) refuse(`it is longer than ${CRON_MAX} characters`);
  try {
    if (parse(text).nextRun(new Date(0)) === null) refuse("no such day ever comes");
  } catch (error) {
    if (error instanceof PlatformError) throw error;
    refuse(error instanceof Unreadable ? error.message : "it cannot be read");
  }
}

/** The first occurrence after that moment. @param text was checked */
export function occurrenceAfter(text: string, atMs: number): number {
  const next = parse(text).nextRun(new Date(atMs));
  if (next === null) throw new Error(`the cron ${text} never comes, but was taken`);
  return next.getTime();
}

/** The last occurrence until that moment, itself included; null where there was none. @param text was checked */
export function occurrenceUntil(text: string, atMs: number): number | null {
  // Croner looks back from whole seconds and leaves out the one that it starts from.
  return (
    parse(text)
      .previousRuns(1, new Date((Math.floor(atMs / 1000) + 1) * 1000))[0]
      ?.getTime() ?? null
  );
}
