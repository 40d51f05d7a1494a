// Sockets that an object keeps, hibernating and plain, as a Worker beside it sees them.
import { each } from "../show.js";

/** Opens a socket to the case's own lobby and keeps what it hears. */
async function open({ LOBBY }, at, query = "") {
  const lobby = LOBBY.getByName(at);
  const response = await lobby.fetch(`http://lobby/${query}`, { headers: { upgrade: "websocket" } });
  const socket = response.webSocket;
  socket.binaryType = "arraybuffer";
  const heard = [];
  const waiting = [];
  const tell = (event) => {
    const next = waiting.shift();
    if (next) next(event);
    else heard.push(event);
  };
  socket.addEventListener("message", ({ data }) => tell(data));
  socket.addEventListener("close", ({ code, reason, wasClean }) => tell({ code, reason, wasClean }));
  socket.accept();
  const hear = () => (heard.length > 0 ? Promise.resolve(heard.shift()) : new Promise((resolve) => waiting.push(resolve)));
  const ask = (text) => {
    socket.send(text);
    return hear();
  };
  return { lobby, response, socket, hear, ask };
}

async function closedOf(lobby) {
  for (let tries = 0; tries < 100; tries += 1) {
    const closed = await lobby.closed();
    if (closed) return closed;
    await scheduler.wait(20);
  }
  return "never closed";
}

const refused = (name) => (env, at) => env.LOBBY.getByName(at).refused(name);

export const objectSockets = {
  "socket-hibernates": async (env, at) => {
    const { ask } = await open(env, at, "?tag=auto&tag=t");
    const before = await ask("made");
    // The runtime lets an object sleep after ten seconds without an event.
    await scheduler.wait(11_500);
    const [pong, attachment, tags, after] = [await ask("ping"), await ask("attachment"), await ask("tags"), await ask("made")];
    return { madeAnew: before !== after, pong, attachment, tags };
  },
  "socket-opens": async (env, at) => {
    const { response } = await open(env, at);
    return [response.status, response.headers.get("x-lobby"), response.webSocket.constructor.name];
  },
  "socket-echoes-text": async (env, at) => (await open(env, at)).ask("hello é🦋"),
  "socket-echoes-bytes": async (env, at) => (await open(env, at)).ask(new Uint8Array([1, 2, 255])),
  "socket-bytes-as-they-come": async (env, at) => {
    const { ask, socket } = await open(env, at);
    const byItself = new WebSocketPair()[0].binaryType;
    socket.binaryType = "blob";
    const blob = await ask(new Uint8Array([7]));
    return [byItself, blob.constructor.name, await blob.arrayBuffer()];
  },
  "socket-echoes-nothing": async (env, at) => (await open(env, at)).ask(new ArrayBuffer(0)),
  "socket-plain": async (env, at) => {
    const { ask, lobby, socket } = await open(env, at, "?as=plain");
    const answer = await ask("hello");
    socket.close(4001, "bye");
    return [answer, await closedOf(lobby), await lobby.many()];
  },
  "socket-tags": async (env, at) => {
    const one = await open(env, at, "?tag=a&tag=b&tag=a");
    const two = await open(env, at, "?tag=b");
    const three = await open(env, at);
    return [
      await one.ask("tags"),
      await three.ask("tags"),
      await two.ask("sockets b"),
      await two.ask("sockets a"),
      await two.ask("sockets"),
      await two.ask("sockets none"),
    ];
  },
  "socket-attachment": async (env, at) => {
    const { ask } = await open(env, at, "?tag=a");
    return [
      await ask("attachment"),
      await ask("attach 2000"),
      await ask("attach 2048"),
      await ask("attach 17000"),
      (await ask("attachment")).length,
    ];
  },
  "socket-answers-by-itself": async (env, at) => {
    const { ask } = await open(env, at, "?tag=auto");
    return [await ask("auto"), await ask("ping"), await ask("auto"), await ask("Ping")];
  },
  "socket-state": async (env, at) => (await open(env, at)).ask("state"),
  "socket-closed-by-the-caller": async (env, at) => {
    const { socket, lobby, hear } = await open(env, at);
    socket.close(4000, "enough é");
    const closed = await closedOf(lobby);
    return [closed, await hear(), await lobby.many(), socket.readyState];
  },
  "socket-closed-without-a-code": async (env, at) => {
    const { socket, lobby } = await open(env, at);
    socket.close();
    return closedOf(lobby);
  },
  "socket-closed-by-the-object": async (env, at) => {
    const { socket, ask } = await open(env, at);
    const closed = await ask("close 4321 because");
    return [closed, socket.readyState];
  },
  "socket-handler-that-throws": async (env, at) => {
    const { socket, lobby } = await open(env, at);
    socket.send("throw now");
    await scheduler.wait(50);
    return [await lobby.many(), socket.readyState];
  },
  "socket-refused-by-status": async ({ LOBBY }, at) => {
    const response = await LOBBY.getByName(at).fetch("http://lobby/?as=nothing", { headers: { upgrade: "websocket" } });
    return [response.status, response.webSocket, await response.text()];
  },
  "socket-without-upgrade": async ({ LOBBY }, at) => {
    const response = await LOBBY.getByName(at).fetch("http://lobby/");
    return [response.status, response.webSocket === null];
  },
  "socket-wrong-closes": async (env, at) => {
    const { socket } = await open(env, at);
    return each({
      reserved: () => socket.close(1005),
      small: () => socket.close(999),
      large: () => socket.close(5000),
      longReason: () => socket.close(4000, "r".repeat(124)),
      reasonAlone: () => socket.close(undefined, "why"),
    });
  },
  "socket-sends-after-close": async (env, at) => {
    const { socket } = await open(env, at);
    socket.close(1000, "done");
    socket.send("late");
  },
  "socket-sends-before-accept": async ({ LOBBY }, at) => {
    const response = await LOBBY.getByName(at).fetch("http://lobby/", { headers: { upgrade: "websocket" } });
    response.webSocket.send("early");
  },
  "socket-message-of-1-mib": async (env, at) => {
    const { ask } = await open(env, at);
    return (await ask(new Uint8Array(1024 * 1024))).byteLength;
  },
  "socket-refuses-eleven-tags": refused("tags"),
  "socket-refuses-a-long-tag": refused("tag"),
  "socket-with-an-empty-tag": refused("emptyTag"),
  "socket-refuses-to-be-taken-twice": refused("twice"),
  "socket-refuses-what-was-accepted": refused("accepted"),
  "socket-refuses-tags-of-a-stranger": refused("stranger"),
  "socket-refuses-a-long-answer-of-its-own": refused("auto"),
  "socket-refuses-a-long-event-timeout": refused("timeout"),
  "socket-refuses-a-function-attached": refused("attachment"),
};
