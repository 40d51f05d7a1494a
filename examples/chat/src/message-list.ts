// What was said, and below it what is still being sent. The newest stays in view for those who look at it.
import type { Message, Post } from "../shared/protocol.ts";
import { element, type Find } from "./page.ts";

type Options = {
  isOwn(author: string): boolean;
  /** Messages from before `seq`; rejects with what to tell. */
  loadOlder(seq: number): Promise<readonly Message[]>;
  fail(error: Error): void;
};

export function messageList(find: Find, { isOwn, loadOlder, fail }: Options) {
  const scroll = find(".scroll");
  const log = find(".log");
  const outbox = find(".outbox");
  const older = find(".older");
  let firstSeq = 1;

  const item = ({ author, text, sentAt }: Post & { readonly sentAt?: number }): HTMLElement => {
    const meta = element("span", "meta", author);
    if (sentAt !== undefined) {
      const at = new Date(sentAt);
      const time = element("time", "", at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
      time.dateTime = at.toISOString();
      meta.append(" ", time);
    }
    return element("li", isOwn(author) ? "own" : "", meta, element("p", "", text));
  };
  const toEnd = (): void => {
    scroll.scrollTop = scroll.scrollHeight;
  };
  let isAtEnd = true;
  scroll.addEventListener("scroll", () => {
    isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  });
  const following = (change?: () => void): void => {
    change?.();
    if (isAtEnd) toEnd();
  };
  // A phone's keyboard opens.
  new ResizeObserver(() => following()).observe(scroll);
  const startAt = (seq: number): void => {
    firstSeq = seq;
    older.hidden = seq <= 1;
  };

  older.addEventListener("click", () => {
    loadOlder(firstSeq).then((messages) => {
      log.prepend(...messages.map(item));
      // None: the room keeps no more.
      startAt(messages[0]?.seq ?? 1);
    }, fail);
  });
  return {
    append: (messages: readonly Message[]): void =>
      following(() => {
        if (log.children.length === 0) startAt(messages[0]?.seq ?? 1);
        log.append(...messages.map(item));
      }),
    showOutbox: (posts: readonly Post[]): void => following(() => outbox.replaceChildren(...posts.map(item))),
    toEnd,
  };
}
