// The guestbook's API. Only /api/* comes here (`run_worker_first` in wrangler.jsonc); the page itself is served as files.
import { MAX_LENGTH, type Entry } from "../shared/entry.ts";
import { addEntry, addHeart, findEntry, listEntries } from "./entries.ts";

type Env = { readonly DB: D1Database };

/** What the caller did wrong, and in which field of the form. */
class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly field?: string,
  ) {
    super(message);
  }
}

export default {
  async fetch(request, env) {
    try {
      return await answer(request, env.DB);
    } catch (error) {
      return answerError(error);
    }
  },
} satisfies ExportedHandler<Env>;

async function answer(request: Request, db: D1Database): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  const id = Number(/\/(\d{1,15})(?:\/|$)/.exec(pathname)?.[1]);
  const route = pathname.replace(`/${id}`, "/:id");
  switch (`${request.method} ${route}`) {
    case "GET /api/entries":
      return Response.json(await listEntries(db, readBefore(searchParams)));
    case "POST /api/entries": {
      const { name, message } = await readEntry(request);
      return Response.json(await addEntry(db, name, message), { status: 201 });
    }
    case "GET /api/entries/:id":
      return Response.json(existing(await findEntry(db, id)));
    case "POST /api/entries/:id/hearts":
      return Response.json(existing(await addHeart(db, id)));
    default:
      throw new ApiError(404, `There is no ${request.method} ${pathname}.`);
  }
}

function existing(entry: Entry | null): Entry {
  if (entry === null) throw new ApiError(404, "There is no such entry.");
  return entry;
}

function readBefore(query: URLSearchParams): number {
  const before = Number(query.get("before") ?? Number.MAX_SAFE_INTEGER);
  if (!Number.isSafeInteger(before)) throw new ApiError(400, "`before` is the id of an entry.", "before");
  return before;
}

async function readEntry(request: Request): Promise<{ name: string; message: string }> {
  const body: unknown = await request.json().catch(() => null);
  if (typeof body !== "object" || body === null) throw new ApiError(400, "Send JSON with a name and a message.");
  return { name: readText(body, "name"), message: readText(body, "message") };
}

function readText(body: object, field: keyof typeof MAX_LENGTH): string {
  const maxLength = MAX_LENGTH[field];
  const value: unknown = Reflect.get(body, field);
  const text = typeof value === "string" ? value.trim() : "";
  if (text === "") throw new ApiError(400, `Please write a ${field}.`, field);
  // Counted in characters, as SQLite's length() does: an emoji is no more than one.
  if ([...text].length > maxLength) throw new ApiError(400, `A ${field} has at most ${maxLength} characters.`, field);
  return text;
}

function answerError(error: unknown): Response {
  if (error instanceof ApiError) return Response.json({ error: error.message, field: error.field }, { status: error.status });
  console.error(error);
  const isEmptyDatabase = /no such (table|column)/.test(String(error));
  return isEmptyDatabase
    ? Response.json({ error: "The database has no tables yet. Run: wrangler d1 migrations apply DB --remote" }, { status: 503 })
    : Response.json({ error: "Something went wrong on the server. Please try again." }, { status: 500 });
}
