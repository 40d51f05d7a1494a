// The rooms that were opened or renamed, and a way to open another.
import type { RoomInList, RoomSettings } from "../shared/protocol.ts";
import { call, element, show } from "./page.ts";

/** "The Tea Room!" → "the-tea-room": a room's address. */
function slugOf(title: string): string {
  const ascii = title.normalize("NFKD").toLowerCase();
  return ascii
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 40)
    .replaceAll(/^-|-$/g, "");
}

export async function showLobby(): Promise<void> {
  const find = show("lobby");
  const problem = find(".problem");
  const tell = (error: Error): void => {
    problem.textContent = error.message;
    problem.hidden = false;
  };

  const open = async (title: string): Promise<void> => {
    const room = slugOf(title);
    if (room === "") throw new Error("A room's name needs a letter or a digit from a to z, 0 to 9.");
    const rooms = await call<RoomInList[]>("GET", "/rooms");
    if (!rooms.some((known) => known.room === room)) await call<RoomSettings>("PUT", `/rooms/${room}`, { title, topic: "" });
    location.assign(`/r/${room}`);
  };
  find<HTMLFormElement>(".open").addEventListener("submit", (event) => {
    event.preventDefault();
    open(find<HTMLInputElement>("#title").value.trim()).catch(tell);
  });

  try {
    const rooms = await call<RoomInList[]>("GET", "/rooms");
    find(".rooms").replaceChildren(
      ...rooms.map(({ room, title, topic }) => {
        const link = element("a", "", element("strong", "", title), element("span", "", topic));
        link.href = `/r/${room}`;
        return element("li", "", link);
      }),
    );
  } catch (error) {
    tell(error as Error);
  }
}
