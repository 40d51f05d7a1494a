// What may come back, whatever was sent: an answer in time, never a 5xx, a refusal that says what is wrong, and nothing of
// another account.
import { isWellFormed, type Input } from "./input.ts";
import type { Answer } from "./wire.ts";

export type Judged = {
  /** As it was sent, placeholders filled. */
  readonly input: Input;
  readonly answer: Answer;
  /** Account ids by token. */
  readonly owners: ReadonlyMap<string, string>;
};

const INSIDE = /SQLITE_|syntax error at|\bat .{1,200}\.ts:\d|node:internal|\[object Object\]|(?<![\w"'.])undefined(?![\w"'])/;

function envelope(answer: Answer): string | null {
  let parsed: { success?: unknown; errors?: readonly { code?: unknown; message?: unknown }[] };
  try {
    parsed = JSON.parse(Buffer.from(answer.body, "latin1").toString()) as typeof parsed;
  } catch {
    return "a refusal that is no JSON";
  }
  const [error] = parsed.errors ?? [];
  if (parsed.success !== false || typeof error?.code !== "number") return "a refusal without the envelope";
  if (typeof error.message !== "string" || error.message.length < 16) return "a refusal that names nothing";
  return error.message.length > 3000 ? "a refusal that repeats what was sent" : null;
}

/** Of the listener, before anything looks at the path: a sentence, and the connection ends with it. */
const isListeners = ({ headers, body }: Answer): boolean =>
  headers["connection"] === "close" && headers["content-type"]?.startsWith("text/plain") === true && /^[A-Z][^\n]{15,200}\.\n$/.test(body);

/** Whether a token of one account was answered about another. */
function strays({ input, answer, owners }: Judged): boolean {
  if (answer.status < 200 || answer.status > 299) return false;
  const named = /^\/client\/v4\/accounts\/([0-9a-f]{32})(\/|\?|$)/.exec(input.draft.path)?.[1];
  const given = input.draft.headers.filter(([name]) => name.toLowerCase() === "authorization");
  const owner = given.length === 1 ? owners.get(/^Bearer +(\S+)$/i.exec(given[0]?.[1] ?? "")?.[1] ?? "") : undefined;
  return named !== undefined && owner !== undefined && named !== owner;
}

function judgeApi(judged: Judged): string | null {
  const { input, answer } = judged;
  if (strays(judged)) return "another account's answer";
  const below = URL.parse(input.draft.path, "http://api")?.pathname.startsWith("/client/v4/") ?? false;
  if (answer.status < 400 || !below || !isWellFormed(input.draft) || input.draft.method === "HEAD") return null;
  if (isListeners(answer)) return null;
  const problem = envelope(answer);
  if (problem !== null) return problem;
  const said = Buffer.from(answer.body, "latin1").toString();
  // What SQLite says of the caller's own statement is what the hosted original says too.
  if (/"code":75\d\d,/.test(said)) return null;
  return INSIDE.test(said.slice(0, 3000)) ? `a refusal that shows the inside: ${INSIDE.exec(said)?.[0]}` : null;
}

/** What is wrong with the answer; null where nothing is. */
export function judge(judged: Judged): string | null {
  const { input, answer } = judged;
  const whole = isWellFormed(input.draft);
  if (answer.hung) return "no answer in time";
  if (answer.status === 0) return whole && input.kind !== "tails" ? "closed without an answer" : null;
  if (answer.status >= 500 && input.to !== "egress socket") return `a ${answer.status}`;
  if (input.to === "api") return judgeApi(judged);
  if (input.kind === "egress" && whole && answer.status === 200 && !/^\{"(said|error)":/.test(answer.body))
    return "the Worker's answer is another's";
  return null;
}
