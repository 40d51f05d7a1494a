// Every attack of listener-attacks.ts on both listeners by raw sockets: it is refused or answered as it must be, what
// follows on its connection belongs to what was asked, and a client on another connection notices nothing.
import assert from "node:assert/strict";
import { connect, type AddressInfo, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { listen } from "../../src/control/http/listen.ts";
import { awaitUntil } from "../fixtures/await-until.ts";
import { openHouse, type House } from "../fixtures/house.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { tenantOfHouse } from "../fixtures/tenant.ts";
import { ATTACKS, type Attack, type Want } from "./listener-attacks.ts";

const ANSWER_WITHIN_MS = 30_000;

type Door = { readonly port: number; readonly host: string; readonly other: string; readonly path: string };
type Answer = { readonly status: number; readonly head: string; readonly body: string };

/** Tells which path it was asked for. */
const CODE = `export default { async fetch(request) { await request.text(); return new Response("saw " + new URL(request.url).pathname); } };`;

/** Splits what came into answers; `rest` is of one that is not whole. */
function answersIn(bytes: string): { readonly answers: Answer[]; readonly rest: string } {
  const answers: Answer[] = [];
  let rest = bytes;
  for (;;) {
    const end = rest.indexOf("\r\n\r\n");
    if (end === -1) return { answers, rest };
    const head = rest.slice(0, end);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
    assert.ok(status >= 100, `not an answer: ${head.slice(0, 200)}`);
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
    const chunked = /^transfer-encoding: chunked$/im.test(head);
    const from = end + 4;
    const to = chunked ? rest.indexOf("0\r\n\r\n", from) + 5 : from + length;
    if (to < from || to > rest.length) return { answers, rest };
    if (status !== 100) answers.push({ status, head, body: rest.slice(from, to) });
    rest = rest.slice(to);
  }
}

class Line {
  readonly #socket: Socket;
  received = "";
  closed = false;

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.on("data", (chunk: Buffer) => (this.received += chunk.toString("latin1")));
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => (this.closed = true));
  }

  send(bytes: string): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes, "latin1");
  }

  /** Waits for so many answers or the end. */
  async answers(count: number): Promise<Answer[]> {
    await awaitUntil(() => this.closed || answersIn(this.received).answers.length >= count, {
      what: `${count} answers or the end, after ${JSON.stringify(this.received.slice(0, 300))}`,
      deadlineMs: ANSWER_WITHIN_MS,
      everyMs: 5,
    });
    return answersIn(this.received).answers;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

const fill = (bytes: string, { host, other, path }: Door): string =>
  bytes
    .replaceAll("HOST", host)
    .replaceAll("OTHER", other)
    .replaceAll("PATH", path)
    .replaceAll("DOTTED", host.replace(/(:\d+)?$/, ".$1"))
    .replaceAll("CAPITALS", host.toUpperCase());

const told = (body: string): string => /(?:saw|There is no \w+) (\/[^\s".]*)/.exec(body)?.[1] ?? body.slice(0, 100);

/** What follows is answered for itself, or the connection is over. */
async function nextBelongs(line: Line, door: Door, before: number, name: string): Promise<void> {
  line.send(`GET ${door.path}/next HTTP/1.1\r\nHost: ${door.host}\r\n\r\n`);
  const answers = await line.answers(before + 1);
  if (line.closed && answers.length === before) return;
  assert.equal(answers.length, before + 1, `${name}: ${line.received}`);
  assert.match(told(answers[before]?.body ?? ""), /\/next$/, `${name}: what follows is answered with another's`);
}

async function attack(door: Door, { name, bytes, status }: Attack, want: Want): Promise<void> {
  using line = new Line(door.port);
  line.send(fill(bytes, door));
  if (typeof want === "number") {
    const answers = await line.answers(want);
    assert.equal(answers.length, want, line.received);
    for (const answer of answers) assert.match(told(answer.body), /\/1$/, line.received);
    await nextBelongs(line, door, want, name);
  } else {
    // Those of requests that came before the one that is refused are theirs.
    await awaitUntil(
      () => line.closed || answersIn(line.received).answers.some((answer) => answer.status >= 400 && !/\/1"|\/1\./.test(answer.body)),
      {
        what: `a refusal or the end, after ${JSON.stringify(line.received.slice(0, 300))}`,
        deadlineMs: ANSWER_WITHIN_MS,
        everyMs: 5,
      },
    );
    const answers = answersIn(line.received).answers;
    const refusal = answers.at(-1);
    if (want === "cut") assert.equal(line.received, "");
    else if (status !== undefined) assert.equal(refusal?.status, status, line.received);
    if (refusal) {
      assert.ok(refusal.status >= 400 && refusal.status < 500, line.received);
      assert.ok(refusal.body.length > 20 || status === undefined, "it is refused in words");
      await nextBelongs(line, door, answers.length, name);
    }
  }
  assert.doesNotMatch(line.received, /(saw|There is no GET) \S*smuggled/, "nothing that was smuggled is carried out");
}

async function canary(door: Door): Promise<void> {
  using line = new Line(door.port);
  line.send(`GET ${door.path}/canary HTTP/1.1\r\nHost: ${door.host}\r\n\r\n`);
  const [answer] = await line.answers(1);
  assert.match(told(answer?.body ?? ""), /\/canary$/, line.received);
}

describe("a listener", () => {
  let house: House;
  const doors: Partial<Record<"edge" | "api", Door>> = {};
  const stack = new AsyncDisposableStack();
  before(async () => {
    const directory = stack.use(await temporaryDirectory("listeners"));
    house = stack.use(await openHouse({ directory: directory.path, ttlSeconds: 3600 }));
    const [ours, other] = [await tenantOfHouse(house), await tenantOfHouse(house)];
    for (const tenant of [ours, other]) await tenant.deploy("w", CODE);
    const server = stack.use(await listen(house.control.app, { port: 0, hostname: "127.0.0.1" }, house.control.upgrades));
    const { port } = server.address() as AddressInfo;
    doors.edge = { port: house.edgePort, host: ours.host("w"), other: other.host("w"), path: "" };
    doors.api = { port, host: "localhost:8787", other: "elsewhere.example", path: "/client/v4" };
  });
  after(() => stack.disposeAsync());

  test("is attacked in a hundred ways and more, each of its own name", () => {
    assert.ok(ATTACKS.length >= 100, String(ATTACKS.length));
    assert.equal(new Set(ATTACKS.map(({ name }) => name)).size, ATTACKS.length);
  });

  for (const name of ["edge", "api"] as const) {
    for (const one of ATTACKS) {
      test(`(${name}) withstands ${one.name}`, async () => {
        const door = doors[name] ?? assert.fail("there is no door");
        await attack(door, one, typeof one.want === "object" ? one.want[name] : one.want);
        await canary(door);
      });
    }
  }
});
