// The front: what rooms are called lies in KV, what is said in them in their own Durable Objects.
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { MAX_LENGTH, type RoomInList, type RoomSettings } from "../shared/protocol.ts";
import type { Room } from "./room.ts";

export { Room } from "./room.ts";

type Bindings = { readonly ROOMS: DurableObjectNamespace<Room>; readonly SETTINGS: KVNamespace };

const ROOM = ":room{[a-z0-9][a-z0-9-]{0,39}}";

const app = new Hono<{ Bindings: Bindings }>().basePath("/api");

app.get("/rooms", async (c) => {
  // Settings are kept as metadata too, so that the list is one read.
  const { keys } = await c.env.SETTINGS.list<RoomSettings>({ prefix: "room:" });
  const rooms = keys.flatMap(({ name, metadata }): RoomInList[] => (metadata ? [{ room: name.slice("room:".length), ...metadata }] : []));
  return c.json(rooms);
});

app.get(`/rooms/${ROOM}`, async (c) => {
  const room = c.req.param("room");
  const settings = await c.env.SETTINGS.get<RoomSettings>(`room:${room}`, "json");
  return c.json<RoomSettings>(settings ?? { title: room, topic: "" });
});

app.put(`/rooms/${ROOM}`, async (c) => {
  const room = c.req.param("room");
  const body = Object(await c.req.json().catch(() => null)) as Record<string, unknown>;
  const settings = { title: readText(body, "title", 1), topic: readText(body, "topic", 0) };
  await c.env.SETTINGS.put(`room:${room}`, JSON.stringify(settings), { metadata: settings });
  await c.env.ROOMS.getByName(room).announce(settings);
  return c.json(settings);
});

app.get(`/rooms/${ROOM}/messages`, async (c) => {
  const before = Number(c.req.query("before") ?? Number.MAX_SAFE_INTEGER);
  if (!Number.isSafeInteger(before)) throw new HTTPException(400, { message: "`before` is a message's number." });
  return c.json(await c.env.ROOMS.getByName(c.req.param("room")).older(before));
});

app.get(`/rooms/${ROOM}/socket`, (c) => {
  if (c.req.header("upgrade") !== "websocket") throw new HTTPException(426, { message: "This address is for WebSockets." });
  if (!/^\d{0,15}$/.test(c.req.query("after") ?? "")) throw new HTTPException(400, { message: "`after` is a message's number." });
  return c.env.ROOMS.getByName(c.req.param("room")).fetch(c.req.raw);
});

app.notFound((c) => c.json({ error: "There is nothing here." }, 404));

app.onError((error, c) => {
  if (error instanceof HTTPException) return c.json({ error: error.message }, error.status);
  console.error(error);
  return c.json({ error: "Something went wrong on the server. Please try again." }, 500);
});

function readText(body: Record<string, unknown>, field: "title" | "topic", minLength: number): string {
  const value = body[field];
  const text = typeof value === "string" ? value.trim() : "";
  if (text.length < minLength || text.length > MAX_LENGTH[field]) {
    throw new HTTPException(400, { message: `A ${field} has ${minLength} to ${MAX_LENGTH[field]} characters.` });
  }
  return text;
}

export default app;
