// Two pages at their own addresses: / lists the rooms, /r/ROOM is one.
import { showLobby } from "./lobby.ts";
import { showRoom } from "./room.ts";

const room = /^\/r\/([a-z0-9][a-z0-9-]{0,39})$/.exec(location.pathname)?.[1];
if (room !== undefined) showRoom(room);
else if (location.pathname === "/") void showLobby();
else location.replace("/");
