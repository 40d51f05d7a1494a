// What a page and a room say to each other over a WebSocket, one JSON frame each.
// A message is safe once the room has sent it back with a `seq`; until then its author keeps it and sends it again.

export type Message = {
  /** Place in the room, from 1, rising; both order and "what did I miss since". */
  readonly seq: number;
  /** Made by the author, so that sending again is no second message. */
  readonly id: string;
  readonly author: string;
  readonly text: string;
  /** Milliseconds since 1970, the room's clock. */
  readonly sentAt: number;
};

/** From the page: a message that the room may have already. */
export type Post = Pick<Message, "id" | "author" | "text">;

/** From the room. */
export type Frame =
  /** In rising order: what was missed, or one that was just posted. */
  | { readonly type: "messages"; readonly messages: readonly Message[] }
  /** Nothing more was missed: the page may send what it kept. */
  | { readonly type: "ready" }
  | { readonly type: "refused"; readonly id: string; readonly reason: string }
  | { readonly type: "people"; readonly count: number }
  | { readonly type: "settings"; readonly settings: RoomSettings };

export type RoomSettings = { readonly title: string; readonly topic: string };
export type RoomInList = RoomSettings & { readonly room: string };

/** Answered by the runtime itself, so that it wakes no room. */
export const PING = "ping";
export const PONG = "pong";

/** Longest texts, in UTF-16 units. */
export const MAX_LENGTH = { id: 64, author: 40, text: 2000, title: 40, topic: 120 } as const;
