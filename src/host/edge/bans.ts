// Callers whom the operator refuses: asked of control every few seconds. While control is away the list that it told
// last holds.
import { BanList } from "../../capsule/bans.ts";
import type { CapsuleControl } from "../../capsule/messages.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { Log } from "../../kernel/log.ts";

const EVERY_MS = 2_000;

export type Bans = Disposable & { refuses(address: string): boolean };

export type BansOptions = {
  readonly control: Pick<CapsuleControl, "bans">;
  readonly clock: Clock;
  readonly log: Log;
  readonly everyMs?: number;
};

export function followBans({ control, clock, log, everyMs = EVERY_MS }: BansOptions): Bans {
  const list = new BanList();
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const ask = async (): Promise<void> => {
    try {
      list.replace(await control.bans(), clock.now());
    } catch (err) {
      log.debug({ err }, "control could not be asked whom to refuse; what it said last holds");
    }
    if (!stopped) timer = setTimeout(() => void ask(), everyMs).unref();
  };
  void ask();
  return {
    refuses: (address) => list.refuses(address, clock.now()),
    [Symbol.dispose]: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
