// Random deeds on a few accounts at once, checked against what must hold whatever their order: one process at work an
// account at most, no answer from old code after a deploy, none at all after an end, nothing left behind.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { newAccountId, newSubdomain } from "../../../../src/kernel/ids.ts";
import { answering, bench, get, type Bench } from "../../../fixtures/capsules.ts";

const ACCOUNTS = 4;
const DEEDS = 40;

/** Bodies of the Worker itself name its generation; anything else is the platform's word. */
const ACCEPTED = /^(v\d+|gone|unavailable|none)$/;

class Subject {
  readonly account = newAccountId();
  readonly subdomain = newSubdomain();
  readonly #bench: Bench;
  /** The generation whose apply has returned, and the one that was begun. */
  applied = 0;
  begun = 0;
  ended = false;

  constructor(b: Bench) {
    this.#bench = b;
  }

  get label(): string {
    return `app--${this.subdomain}`;
  }

  async deploy(): Promise<void> {
    const { account, subdomain } = this;
    const generation = ++this.begun;
    const wasEnded = this.ended;
    try {
      await this.#bench.deploy(answering(`"v${generation}"`), { account, subdomain, generation });
      this.applied = Math.max(this.applied, generation);
      assert.equal(wasEnded, false, "a deploy after the end was taken");
    } catch (error) {
      // A process may be killed while it starts: that is told, and mended by the next deed.
      if ((error as { code?: string }).code === "capsule_failed") return assert.equal(wasEnded, false);
      assert.equal((error as { code?: string }).code, "account_gone", String(error));
      assert.equal(this.ended, true);
    }
  }

  /** An upload begins, as far as the host can tell. */
  expect(): void {
    this.#bench.supervisor.expect(this.account);
  }

  async ask(): Promise<void> {
    const { applied, ended } = this;
    // A request that was let in may be cut by the end or by the process's death.
    const body = await get(this.#bench.supervisor, this.label).catch(() => "cut");
    if (ended) assert.equal(body, "gone");
    if (body === "cut") return;
    assert.match(body, ACCEPTED);
    if (body.startsWith("v")) assert.ok(Number(body.slice(1)) >= applied, `${body} after ${applied} was applied`);
  }

  async end(): Promise<void> {
    this.ended = true;
    const { account, subdomain } = this;
    await this.#bench.supervisor.end({ account, subdomain, reason: "owner", endedAtMs: Date.now() });
    await this.#bench.supervisor.erase(account);
  }
}

describe("capsules in any order of deeds", () => {
  test("keep one process at work at most, never answer from the past, and leave nothing", async () => {
    await using b = await bench({ capsulesHot: 3, idleMs: 50, bounds: { tickMs: 20, maxMishaps: 1_000 } });
    const subjects = Array.from({ length: ACCOUNTS }, () => new Subject(b));
    const working = new Map<string, number>();
    let [waited, unused] = [0, 0];
    const launch = b.sandbox.launch.bind(b.sandbox);
    b.sandbox.launch = async (request) => {
      const key = request.directory ?? "";
      const process = await launch(request);
      let fed = false;
      void process.exited.then(() => (fed ? working.set(key, (working.get(key) ?? 1) - 1) : unused++));
      const { feed } = process;
      return Object.assign(process, {
        // A process that waits touches no state: from its configuration on it is the only one.
        feed(stdin: Uint8Array) {
          fed = true;
          const atWork = (working.get(key) ?? 0) + 1;
          working.set(key, atWork);
          assert.equal(atWork, 1, "two processes on one directory");
          assert.ok(Buffer.from(stdin).includes(basename(key).slice(0, 16)), "a process of one account runs another's");
          waited++;
          feed(stdin);
        },
      });
    };
    const play = async (subject: Subject): Promise<void> => {
      await subject.deploy();
      const under = new Set<Promise<void>>();
      for (let deed = 0; deed < DEEDS; deed++) {
        const dice = randomInt(100);
        if (randomInt(100) < 30) subject.expect();
        const work =
          dice < 72
            ? subject.ask()
            : dice < 90
              ? subject.deploy()
              : dice < 99
                ? sleep(randomInt(100))
                : Promise.resolve(b.sandbox.alive.values().next().value?.kill());
        under.add(work);
        await Promise.race([work, sleep(randomInt(30))]);
      }
      under.add(subject.end());
      subject.expect();
      for (let late = 0; late < 3; late++) under.add(subject.ask()).add(subject.deploy());
      await Promise.all(under);
    };
    await Promise.all(subjects.map(play));
    for (const { label } of subjects) assert.equal(await get(b.supervisor, label), "gone");
    assert.equal(b.sandbox.alive.size, 0);
    assert.ok(b.sandbox.mostAlive <= 3, `${b.sandbox.mostAlive} processes at once`);
    assert.deepEqual(await readdir(b.accounts), []);
    assert.deepEqual(await readdir(join(b.directory, "run", "c")), []);
    assert.ok(waited > ACCOUNTS && unused > 0, `${waited} at work, ${unused} never used`);
  });
});
