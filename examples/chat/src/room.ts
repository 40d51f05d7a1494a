// One room's page. What the connection tells is shown; what is typed is handed to the connection.
import type { Message, RoomSettings } from "../shared/protocol.ts";
import { Connection } from "./connection.ts";
import { messageList } from "./message-list.ts";
import { call, show, type Find } from "./page.ts";
import { statusLine } from "./status-line.ts";

const ANIMALS = ["Heron", "Otter", "Wren", "Marten", "Newt", "Swift", "Lynx", "Dormouse"];

export function showRoom(room: string): void {
  const find = show("room");
  const author = find<HTMLInputElement>("[name=author]");
  author.value = localStorage.getItem("name") ?? randomName();
  const keepName = (): void => localStorage.setItem("name", author.value.trim());
  keepName();
  author.addEventListener("change", keepName);

  const status = statusLine(find(".status"));
  const fail = (error: Error): void => status.note(error.message);
  const settings = settingsForm(find, room, fail);
  const list = messageList(find, {
    isOwn: (name) => name === author.value.trim(),
    loadOlder: (seq) => call<Message[]>("GET", `/rooms/${room}/messages?before=${seq}`),
    fail,
  });
  const connection = new Connection(room, {
    messages: list.append,
    outbox: list.showOutbox,
    status: status.connection,
    people: status.people,
    settings: settings.show,
    refused: ({ text }, reason) => status.note(`“${text.slice(0, 40)}” was not sent: ${reason}`),
  });

  find(".composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = find<HTMLInputElement>("[name=text]");
    if (text.value.trim() === "" || author.value.trim() === "") return;
    connection.post(author.value.trim(), text.value.trim());
    text.value = "";
    list.toEnd();
  });
}

/** The room's name and topic, and the form that changes them. */
function settingsForm(find: Find, room: string, fail: (error: Error) => void) {
  const form = find<HTMLFormElement>(".settings");
  const show = ({ title, topic }: RoomSettings): void => {
    document.title = title;
    find("h1").textContent = title;
    find(".topic").textContent = topic;
    find<HTMLInputElement>("[name=title]").value = title;
    find<HTMLInputElement>("[name=topic]").value = topic;
  };
  find(".edit").addEventListener("click", () => {
    form.hidden = !form.hidden;
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    form.hidden = true;
    // The room tells everybody in it, us too.
    call("PUT", `/rooms/${room}`, Object.fromEntries(new FormData(form))).catch(fail);
  });
  show({ title: room, topic: "" });
  call<RoomSettings>("GET", `/rooms/${room}`).then(show, fail);
  return { show };
}

function randomName(): string {
  const animal = ANIMALS[Math.floor(Math.random() * ANIMALS.length)] ?? "";
  return `${animal} ${10 + Math.floor(Math.random() * 90)}`;
}
