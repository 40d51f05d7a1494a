// All SQL of the guestbook.
import type { Entry, EntryPage } from "../shared/entry.ts";

const PAGE_SIZE = 20;
const COLUMNS = "id, name, message, signed_at AS signedAt, hearts";

/** Newest first, those with an id below `before`. */
export async function listEntries(db: D1Database, before: number): Promise<EntryPage> {
  const { results } = await db
    .prepare(`SELECT ${COLUMNS} FROM entries WHERE id < ? ORDER BY id DESC LIMIT ?`)
    .bind(before, PAGE_SIZE + 1)
    .all<Entry>();
  return { entries: results.slice(0, PAGE_SIZE), hasOlder: results.length > PAGE_SIZE };
}

export function findEntry(db: D1Database, id: number): Promise<Entry | null> {
  return db.prepare(`SELECT ${COLUMNS} FROM entries WHERE id = ?`).bind(id).first<Entry>();
}

export async function addEntry(db: D1Database, name: string, message: string): Promise<Entry> {
  const entry = await db
    .prepare(`INSERT INTO entries (name, message, signed_at) VALUES (?, ?, ?) RETURNING ${COLUMNS}`)
    .bind(name, message, Date.now())
    .first<Entry>();
  if (entry === null) throw new Error("INSERT … RETURNING gave no row");
  return entry;
}

export function addHeart(db: D1Database, id: number): Promise<Entry | null> {
  return db.prepare(`UPDATE entries SET hearts = hearts + 1 WHERE id = ? RETURNING ${COLUMNS}`).bind(id).first<Entry>();
}
