// What a page sent, or why it is no message.
import { MAX_LENGTH, type Post } from "../shared/protocol.ts";

type Refusal = { readonly id: string; readonly reason: string };

export function readPost(data: string | ArrayBuffer): Post | Refusal {
  const frame = parse(data);
  const [id, author, text] = (["id", "author", "text"] as const).map((field) => {
    const value: unknown = frame[field];
    return typeof value === "string" ? value.trim() : "";
  }) as [string, string, string];
  if (id === "" || id.length > MAX_LENGTH.id) return { id: id.slice(0, MAX_LENGTH.id), reason: "A message needs an id of its own." };
  if (author === "" || author.length > MAX_LENGTH.author) return { id, reason: `A name has 1 to ${MAX_LENGTH.author} characters.` };
  if (text === "" || text.length > MAX_LENGTH.text) return { id, reason: `A message has 1 to ${MAX_LENGTH.text} characters.` };
  return { id, author, text };
}

function parse(data: string | ArrayBuffer): Record<string, unknown> {
  try {
    const value: unknown = typeof data === "string" ? JSON.parse(data) : null;
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
