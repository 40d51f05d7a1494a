// One room's page. What the connection tells is shown; what is typed is handed to the connection.
import type { Message, RoomSettings } from "../shared/protocol.ts";
import { Connection, type Status } from "./connection.ts";
import { call, element, show } from "./page.ts";

const NAMES = ["Heron", "Otter", "Wren", "Marten", "Newt", "Swift", "Lynx", "Dormouse"];

export function showRoom(room: string): void {
  const find = show("room");
  const log = find(".log");
  const scroll = find(".scroll");
  const author = find<HTMLInputElement>("[name=author]");
  author.value =
    localStorage.getItem("name") ?? `${NAMES[Math.floor(Math.random() * NAMES.length)] ?? ""} ${Math.floor(Math.random() * 90) + 10}`;
  author.addEventListener("change", () => localStorage.setItem("name", author.value.trim()));

  const showSettings = ({ title, topic }: RoomSettings): void => {
    document.title = title;
    find("h1").textContent = title;
    find(".topic").textContent = topic;
    find<HTMLInputElement>("[name=title]").value = title;
    find<HTMLInputElement>("[name=topic]").value = topic;
  };
  showSettings({ title: room, topic: "" });
  const status = showStatus(find(".status"));
  const fail = (error: Error): void => status.note(error.message);

  const item = (message: Pick<Message, "author" | "text"> & Partial<Message>): HTMLElement => {
    const meta = element("span", "meta", message.author);
    if (message.sentAt !== undefined) {
      const at = new Date(message.sentAt);
      const time = element("time", "", at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
      time.dateTime = at.toISOString();
      meta.append(" ", time);
    }
    const made = element("li", message.author === author.value.trim() ? "own" : "", meta, element("p", "", message.text));
    made.dataset["seq"] = String(message.seq ?? "");
    return made;
  };
  /** Keeps the newest in view for those who were looking at it. */
  const following = (change: () => void): void => {
    const isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
    change();
    if (isAtEnd) scroll.scrollTop = scroll.scrollHeight;
  };
  const older = find<HTMLButtonElement>(".older");
  const showOlder = (): void => {
    older.hidden = Number((log.firstElementChild as HTMLElement | null)?.dataset["seq"] ?? 1) <= 1;
  };
  const loadOlder = async (): Promise<void> => {
    const first = (log.firstElementChild as HTMLElement).dataset["seq"] ?? "";
    const messages = await call<Message[]>("GET", `/rooms/${room}/messages?before=${first}`);
    log.prepend(...messages.map(item));
    showOlder();
    older.hidden ||= messages.length === 0;
  };
  older.addEventListener("click", () => void loadOlder().catch(fail));

  const connection = new Connection(room, {
    messages: (messages) =>
      following(() => {
        log.append(...messages.map(item));
        showOlder();
      }),
    outbox: (posts) => following(() => find(".outbox").replaceChildren(...posts.map(item))),
    status: status.connection,
    people: status.people,
    settings: showSettings,
    refused: ({ text }, reason) => status.note(`“${text.slice(0, 40)}” was not sent: ${reason}`),
  });

  find<HTMLFormElement>(".composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = find<HTMLInputElement>("[name=text]");
    if (text.value.trim() === "" || author.value.trim() === "") return;
    connection.post(author.value.trim(), text.value.trim());
    text.value = "";
    scroll.scrollTop = scroll.scrollHeight;
  });

  const settings = find<HTMLFormElement>(".settings");
  find(".edit").addEventListener("click", () => (settings.hidden = !settings.hidden));
  settings.addEventListener("submit", (event) => {
    event.preventDefault();
    settings.hidden = true;
    // The room tells everybody in it, us too.
    call("PUT", `/rooms/${room}`, Object.fromEntries(new FormData(settings))).catch(fail);
  });
  call<RoomSettings>("GET", `/rooms/${room}`).then(showSettings, fail);
}

/** The status line: the connection, who is here, and what went wrong last. */
function showStatus(line: HTMLElement) {
  let wasConnected = false;
  let connection = "";
  let people = 0;
  let note = "";
  const render = (): void => {
    const parts = [connection, people > 1 ? `${people} people here` : people === 1 ? "you are alone here" : "", note];
    line.textContent = parts.filter((part) => part !== "").join(" · ");
  };
  return {
    connection: (status: Status): void => {
      line.dataset["state"] = status.state;
      if (status.state === "connected") connection = "Connected";
      else if (status.state === "connecting") connection = wasConnected ? "Reconnecting…" : "Connecting…";
      else connection = `Reconnecting in ${status.seconds} s…`;
      wasConnected ||= status.state === "connected";
      if (status.state !== "connected") people = 0;
      render();
    },
    people: (count: number): void => {
      people = count;
      render();
    },
    note: (text: string): void => {
      note = text;
      render();
    },
  };
}
