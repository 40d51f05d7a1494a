// The page's calls to its own Worker.
import type { Entry, EntryPage } from "../shared/entry.ts";

/** A refusal in words for the visitor, and the field of the form that it is about. */
export class ApiError extends Error {
  readonly field: string | undefined;
  constructor(message: string, field?: string) {
    super(message);
    this.field = field;
  }
}

async function call<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  const response = await fetch(`/api${path}`, init).catch(() => {
    throw new ApiError("The guestbook cannot be reached. Are you online?");
  });
  const answer = (await response.json().catch(() => ({ error: `The guestbook answered ${response.status}.` }))) as T & {
    error?: string;
    field?: string;
  };
  if (!response.ok || answer.error !== undefined)
    throw new ApiError(answer.error ?? `The guestbook answered ${response.status}.`, answer.field);
  return answer;
}

export const listEntries = (before?: number): Promise<EntryPage> =>
  call("GET", before === undefined ? "/entries" : `/entries?before=${before}`);
export const findEntry = (id: string): Promise<Entry> => call("GET", `/entries/${encodeURIComponent(id)}`);
export const addEntry = (name: string, message: string): Promise<Entry> => call("POST", "/entries", { name, message });
export const addHeart = (id: number): Promise<Entry> => call("POST", `/entries/${id}/hearts`);
