// The line under the messages: the connection, who is here, and what went wrong last.
import type { Status } from "./connection.ts";

export function statusLine(line: HTMLElement) {
  let wasConnected = false;
  let connection = "";
  let people = 0;
  let note = "";
  const render = (): void => {
    const others = people > 1 ? `${people} people here` : people === 1 ? "you are alone here" : "";
    line.textContent = [connection, others, note].filter((part) => part !== "").join(" · ");
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
