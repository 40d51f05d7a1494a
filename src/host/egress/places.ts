// How many sockets to the outside one capsule holds at once. A spare one, kept for the next request, gives way to who
// needs its place; a place is free again when its socket is closed, whatever became of the capsule's side.
import type { Socket } from "node:net";

/** The right to one socket; given back once, or by the socket that it became. */
export type Place = { readonly leave: () => void };

export class Places {
  readonly #most: () => number;
  readonly #spare: () => Socket | undefined;
  readonly #places = new Set<Place>();
  readonly #bySocket = new Map<Socket, Place>();
  #closed = false;

  /** @param spare a connected socket that nobody uses */
  constructor(most: () => number, spare: () => Socket | undefined) {
    this.#most = most;
    this.#spare = spare;
  }

  /** Null when all are taken. */
  take(): Place | null {
    while (this.#places.size >= this.#most()) {
      const spare = this.#spare();
      if (spare === undefined) return null;
      spare.destroy();
      this.#bySocket.get(spare)?.leave();
    }
    const place: Place = { leave: () => this.#places.delete(place) };
    this.#places.add(place);
    return place;
  }

  /** The place is the socket's until it is closed. */
  give(place: Place, socket: Socket): void {
    // Connected too late: whoever waited for it is gone.
    if (this.#closed) socket.destroy();
    this.#bySocket.set(socket, place);
    socket.once("close", () => {
      this.#bySocket.delete(socket);
      place.leave();
    });
  }

  /** Cuts every socket, those that are yet to come included. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#bySocket.keys()) socket.destroy();
  }
}
