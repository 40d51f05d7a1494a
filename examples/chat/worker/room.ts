// One room. Whatever it tells anybody is stored first: the runtime holds what it sends until the write is on disk.
// Between messages the object may be put to sleep while its sockets stay open, so it keeps nothing in memory.
import { DurableObject } from "cloudflare:workers";
import { PING, PONG, type Frame, type Message, type Post, type RoomSettings } from "../shared/protocol.ts";
import { readPost } from "./read-post.ts";

const COLUMNS = "seq, id, author, text, sent_at AS sentAt";
const FIRST_SIGHT = 50;
const PER_FRAME = 200;
const KEPT = 10_000;

export class Room extends DurableObject {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env);
    ctx.storage.sql.exec(`CREATE TABLE IF NOT EXISTS messages (
      seq INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      author TEXT NOT NULL,
      text TEXT NOT NULL,
      sent_at INTEGER NOT NULL
    )`);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
  }

  /** A page joins. `?after=SEQ` is the last message that it has. */
  override fetch(request: Request): Response {
    const after = new URL(request.url).searchParams.get("after");
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    // No await until "ready": nothing new comes between what was missed and what follows.
    let missed = after === null ? this.older(Number.MAX_SAFE_INTEGER) : this.#since(Number(after));
    while (missed.length > 0) {
      send(server, { type: "messages", messages: missed });
      missed = this.#since(missed.at(-1)?.seq ?? 0);
    }
    send(server, { type: "ready" });
    this.#countPeople();
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): void {
    const post = readPost(data);
    if ("reason" in post) {
      send(socket, { type: "refused", ...post });
      return;
    }
    const known = this.#select("WHERE id = ?", post.id);
    // Its author lost the connection before hearing that the message is safe, and asks once more.
    if (known.length > 0) send(socket, { type: "messages", messages: known });
    else this.#broadcast({ type: "messages", messages: this.#store(post) });
  }

  override webSocketClose(socket: WebSocket): void {
    this.#countPeople(socket);
  }

  override webSocketError(socket: WebSocket): void {
    this.#countPeople(socket);
  }

  /** The last ones before `seq`, for scrolling back. */
  older(seq: number): Message[] {
    return this.#select("WHERE seq < ? ORDER BY seq DESC LIMIT ?", seq, FIRST_SIGHT).toReversed();
  }

  /** Called by the Worker when somebody renames the room. */
  announce(settings: RoomSettings): void {
    this.#broadcast({ type: "settings", settings });
  }

  #since(seq: number): Message[] {
    return this.#select("WHERE seq > ? ORDER BY seq LIMIT ?", seq, PER_FRAME);
  }

  #store({ id, author, text }: Post): Message[] {
    const { sql } = this.ctx.storage;
    const stored = sql
      .exec<Message>(
        `INSERT INTO messages (id, author, text, sent_at) VALUES (?, ?, ?, ?) RETURNING ${COLUMNS}`,
        id,
        author,
        text,
        Date.now(),
      )
      .toArray();
    sql.exec("DELETE FROM messages WHERE seq <= ?", (stored[0]?.seq ?? 0) - KEPT);
    return stored;
  }

  #select(condition: string, ...values: (string | number)[]): Message[] {
    return this.ctx.storage.sql.exec<Message>(`SELECT ${COLUMNS} FROM messages ${condition}`, ...values).toArray();
  }

  #countPeople(leaving?: WebSocket): void {
    const staying = this.ctx.getWebSockets().filter((socket) => socket !== leaving);
    for (const socket of staying) send(socket, { type: "people", count: staying.length });
  }

  #broadcast(frame: Frame): void {
    for (const socket of this.ctx.getWebSockets()) send(socket, frame);
  }
}

function send(socket: WebSocket, frame: Frame): void {
  try {
    socket.send(JSON.stringify(frame));
  } catch {
    // It is closing; the page comes back and asks for what it missed.
  }
}
