// What is wrong with a rules file: each line once, by its number as an editor counts it. The asset service would log such
// a line where no tenant can see it, and skip it; here the upload is refused instead.
import { invalidUpload } from "../contract.ts";
import type { PlatformError } from "../../../../kernel/errors.ts";

/** Told at once; of more it is said that there are more. */
const TOLD = 5;
/** Then the rest of the file is not looked at. */
const ENOUGH = 20;

export class Problems {
  readonly #file: string;
  readonly #found: string[] = [];

  /** @param file as the tenant calls it */
  constructor(file: string) {
    this.#file = file;
  }

  /** @param line counted from 1 */
  add(line: number, problem: string): void {
    this.#found.push(`line ${line}: ${problem}`);
  }

  get enough(): boolean {
    return this.#found.length >= ENOUGH;
  }

  /** Null when there is none. */
  error(): PlatformError | null {
    if (this.#found.length === 0) return null;
    const more = this.#found.length > TOLD ? "; and more" : "";
    return invalidUpload(`${this.#file}: ${this.#found.slice(0, TOLD).join("; ")}${more}.`, `Correct ${this.#file} and deploy again.`);
  }
}

/** Of either file, in characters. */
export const LINE_MAX = 2000;

export type Line = { readonly number: number; readonly text: string };

/** Lines that hold something other than a comment; too long ones are told and left out. */
export function linesOf(text: string, problems: Problems): Line[] {
  const lines = text.split("\n").map((line, at) => ({ number: at + 1, text: line.trim() }));
  return lines.filter(({ number, text: line }) => {
    if (line === "" || line.startsWith("#")) return false;
    if (line.length <= LINE_MAX) return true;
    if (!problems.enough) problems.add(number, `has ${line.length} characters, more than ${LINE_MAX}`);
    return false;
  });
}

/** What a line says, short enough for a message. */
export const shown = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
