// Cuts SQL text into statements as it comes in, knowing strings, quoted names, comments and the bodies of triggers.
// It decides only how much is run at once and how it is counted: SQLite reads every statement itself.

/** What decides where a statement ends: a trigger's body is over after `; END ;`. */
type Phase = "start" | "create" | "plain" | "trigger" | "after semicolon" | "after END";

const WORD_OR_MARK = /[A-Za-z_$\u0080-\uffff][\w$\u0080-\uffff]*|['"`[;]|--|\/\*|[^\s\w]|\d+/g;
const MARK = /['"`[;]|--|\/\*/g;
const CLOSING: Readonly<Record<string, string>> = { "'": "'", '"': '"', "`": "`", "[": "]", "--": "\n", "/*": "*/" };

/** The phase behind a word or a mark that is no semicolon. */
function after(phase: Phase, token: string): Phase {
  const word = token.toUpperCase();
  switch (phase) {
    case "start":
      return word === "CREATE" ? "create" : "plain";
    case "create":
      if (word === "TEMP" || word === "TEMPORARY") return "create";
      return word === "TRIGGER" ? "trigger" : "plain";
    case "plain":
      return "plain";
    case "after semicolon":
      return word === "END" ? "after END" : "trigger";
    default:
      return "trigger";
  }
}

export class StatementTooLong extends Error {}

export class Statements {
  readonly #maxLength: number;
  #text = "";
  /** Up to where the text has been read; it begins with the statement under way. */
  #at = 0;
  #phase: Phase = "start";
  /** What ends the string, name or comment that the text is in; null: none. */
  #closing: string | null = null;

  /** @param maxLength characters of a statement. */
  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** The statements that end in what has come so far, semicolons included. @throws StatementTooLong */
  *push(chunk: string): Generator<string> {
    this.#text += chunk;
    yield* this.#read(false);
    if (this.#text.length > this.#maxLength) throw new StatementTooLong();
  }

  /** What is left at the end; null when that is empty or a comment. */
  end(): string | null {
    const last = Array.from(this.#read(true)).join("") + this.#text;
    this.#text = "";
    return this.#phase === "start" ? null : last;
  }

  *#read(final: boolean): Generator<string> {
    while (this.#at < this.#text.length) {
      if (this.#closing !== null && !this.#close()) return;
      const pattern = this.#phase === "plain" ? MARK : WORD_OR_MARK;
      pattern.lastIndex = this.#at;
      const found = pattern.exec(this.#text);
      const end = found === null ? this.#text.length : pattern.lastIndex;
      // At the very end the token may go on, and a lone dash or slash may begin a comment.
      if (!final && end === this.#text.length && (found === null || found[0] !== ";")) {
        this.#at = found?.index ?? Math.max(this.#at, this.#text.length - (/[-/]$/.test(this.#text) ? 1 : 0));
        return;
      }
      this.#at = end;
      if (found === null) return;
      if (found[0] === ";") yield* this.#semicolon();
      else this.#token(found[0]);
    }
  }

  /** Goes behind the end of what the text is in; false when that has not come yet. */
  #close(): boolean {
    const closing = this.#closing ?? "";
    const end = this.#text.indexOf(closing, this.#at);
    if (end === -1) {
      this.#at = Math.max(this.#at, this.#text.length - closing.length + 1);
      return false;
    }
    this.#at = end + closing.length;
    this.#closing = null;
    return true;
  }

  #token(token: string): void {
    this.#closing = CLOSING[token] ?? null;
    if (token !== "--" && token !== "/*") this.#phase = after(this.#phase, token);
  }

  *#semicolon(): Generator<string> {
    if (this.#phase === "trigger" || this.#phase === "after semicolon") {
      this.#phase = "after semicolon";
      return;
    }
    const statement = this.#text.slice(0, this.#at);
    const empty = this.#phase === "start";
    this.#text = this.#text.slice(this.#at);
    this.#at = 0;
    this.#phase = "start";
    if (!empty) yield statement;
  }
}
