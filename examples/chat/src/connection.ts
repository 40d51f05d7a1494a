// A connection to a room that outlives its sockets: when one breaks, another is opened and asks for what was missed.
// Every message of the room is handed on once, in order; every one of ours is sent until the room has answered it.
import { PING, PONG, type Frame, type Message, type Post, type RoomSettings } from "../shared/protocol.ts";

export type Status =
  | { readonly state: "connecting" }
  | { readonly state: "connected" }
  | { readonly state: "waiting"; readonly seconds: number };

export type Listener = {
  messages(messages: readonly Message[]): void;
  /** Ours that the room has not answered yet. */
  outbox(posts: readonly Post[]): void;
  status(status: Status): void;
  people(count: number): void;
  settings(settings: RoomSettings): void;
  refused(post: Post, reason: string): void;
};

const FIRST_DELAY_MS = 400;
const MAX_DELAY_MS = 15_000;
const PING_EVERY_MS = 12_000;

export class Connection {
  readonly #room: string;
  readonly #listener: Listener;
  #socket: WebSocket | undefined;
  #isReady = false;
  /** Of what was handed on; 0 when the room was empty, nothing before the first `ready`. */
  #lastSeq: number | undefined;
  #outbox: readonly Post[];
  #attempts = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #isAsked = false;

  constructor(room: string, listener: Listener) {
    this.#room = room;
    this.#listener = listener;
    // What was not answered before a reload is sent after it.
    this.#outbox = JSON.parse(sessionStorage.getItem(`outbox:${room}`) ?? "[]") as Post[];
    setInterval(() => this.#ping(), PING_EVERY_MS);
    addEventListener("online", () => this.#reopen());
    this.#open();
  }

  post(author: string, text: string): void {
    const post = { id: newId(), author, text };
    this.#keep([...this.#outbox, post]);
    if (this.#isReady) this.#socket?.send(JSON.stringify(post));
  }

  #open(): void {
    const url = new URL(`/api/rooms/${this.#room}/socket`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.#lastSeq !== undefined) url.searchParams.set("after", String(this.#lastSeq));
    this.#isAsked = false;
    this.#listener.status({ state: "connecting" });
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.addEventListener("close", () => this.#lose(socket));
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.#socket) return;
      this.#isAsked = false;
      if (data !== PONG) this.#receive(JSON.parse(data as string) as Frame);
    });
  }

  #receive(frame: Frame): void {
    switch (frame.type) {
      case "messages":
        return this.#deliver(frame.messages);
      case "ready":
        this.#isReady = true;
        this.#lastSeq ??= 0;
        this.#attempts = 0;
        this.#listener.status({ state: "connected" });
        for (const post of this.#outbox) this.#socket?.send(JSON.stringify(post));
        this.#listener.outbox(this.#outbox);
        return;
      case "refused": {
        const post = this.#outbox.find(({ id }) => id === frame.id);
        this.#keep(this.#outbox.filter(({ id }) => id !== frame.id));
        if (post) this.#listener.refused(post, frame.reason);
        return;
      }
      case "people":
        return this.#listener.people(frame.count);
      case "settings":
        return this.#listener.settings(frame.settings);
    }
  }

  #deliver(messages: readonly Message[]): void {
    const last = this.#lastSeq ?? 0;
    const fresh = messages.filter(({ seq }) => seq > last);
    this.#lastSeq = fresh.at(-1)?.seq ?? last;
    this.#listener.messages(fresh);
    const answered = new Set(messages.map(({ id }) => id));
    this.#keep(this.#outbox.filter(({ id }) => !answered.has(id)));
  }

  #keep(outbox: readonly Post[]): void {
    this.#outbox = outbox;
    sessionStorage.setItem(`outbox:${this.#room}`, JSON.stringify(outbox));
    this.#listener.outbox(outbox);
  }

  /** Waits longer each time, and never exactly as long as the others who were cut off at the same moment. */
  #lose(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    this.#isReady = false;
    socket.close();
    const delayMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempts) * (1 + Math.random());
    this.#attempts += 1;
    this.#listener.status({ state: "waiting", seconds: Math.ceil(delayMs / 1000) });
    this.#retry = setTimeout(() => this.#open(), delayMs);
  }

  #reopen(): void {
    if (this.#socket) return;
    clearTimeout(this.#retry);
    this.#open();
  }

  /** A network that vanished tells nobody: what does not answer until the next ping is lost. */
  #ping(): void {
    if (!this.#socket) return;
    if (this.#isAsked) return this.#lose(this.#socket);
    this.#isAsked = true;
    if (this.#isReady) this.#socket.send(PING);
  }
}

/** `crypto.randomUUID` is missing on plain http; this is not. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
