// The Durable Objects of the one Worker: Chamber (SQLite) and Notes (key-value) do what a case asks by name, Ledger is
// made slowly, Bell keeps alarms, Lobby keeps sockets.
import { DurableObject, RpcTarget } from "cloudflare:workers";
import { deeds } from "./cases/object-deeds.js";
import { show, tell } from "./show.js";

/** Runs a deed inside and tells there, so that no type is lost on the way out. */
async function perform(object, name, ctx, env, at) {
  try {
    return { value: show(await deeds[name](ctx, env, at, object)) };
  } catch (thrown) {
    return { error: tell(thrown) };
  }
}

class Adder extends RpcTarget {
  #sum = 0;
  label = "own";
  get sum() {
    return this.#sum;
  }
  add(number) {
    this.#sum += number;
    return this.#sum;
  }
}

class Refusal extends Error {
  name = "Refusal";
  constructor(message, options) {
    super(message, options);
    this.code = "E_NOT_TODAY";
    this.details = { tries: 3, when: new Date(0), why: undefined };
  }
}

/** Everything that is called from outside, beside the deeds. */
export class Chamber extends DurableObject {
  #calls = 0;
  own = "own";

  perform(name, at) {
    return perform(this, name, this.ctx, this.env, at);
  }
  echo(...values) {
    return values.length === 1 ? values[0] : values;
  }
  told(...values) {
    return show(values);
  }
  count() {
    return ++this.#calls;
  }
  get motto() {
    return "one day";
  }
  async countIn(milliseconds) {
    await scheduler.wait(milliseconds);
    return ++this.#calls;
  }
  async callback(fn, ...values) {
    return `called: ${await fn(...values)}`;
  }
  adder() {
    return new Adder();
  }
  doubler() {
    return (number) => number * 2;
  }
  nested() {
    return { deep: { adder: new Adder(), upper: (text) => text.toUpperCase() } };
  }
  async read(stream) {
    return new Response(stream).text();
  }
  stream() {
    return new Response("from inside").body;
  }
  breakingStream() {
    return new ReadableStream({
      type: "bytes",
      pull(controller) {
        controller.error(new RangeError("broke on purpose"));
      },
    });
  }
  request(request) {
    return request.text().then((body) => [request.method, request.url, request.headers.get("x-test"), body]);
  }
  response() {
    return new Response("made inside", { status: 418, headers: { "x-test": "yes" } });
  }
  plainInstance() {
    return new (class Plain {
      a = 1;
    })();
  }
  fail(kind) {
    if (kind === "custom") throw new Refusal("not today", { cause: new RangeError("the cause") });
    if (kind === "text") throw "only text";
    if (kind === "object") throw { code: 7 };
    if (kind === "undefined") throw undefined;
    if (kind === "dom") throw new DOMException("told by a DOM", "DataError");
    throw new TypeError("typed");
  }
  returnedError() {
    return new Refusal("handed back");
  }
  async failLater() {
    await scheduler.wait(1);
    throw new Error("later");
  }
  _underscored() {
    return "underscored";
  }
  nothing() {}
  /** Without one no alarm can be set. */
  alarm() {}
  remember(key, value) {
    return this.ctx.storage.put(key, value);
  }
  recall(key) {
    return this.ctx.storage.get(key);
  }
  identity() {
    return { name: this.ctx.id.name, id: this.ctx.id.toString(), members: Object.keys(this.env).toSorted() };
  }
  abort(reason) {
    this.ctx.abort(reason);
  }
  abortWithError() {
    this.ctx.abort(new RangeError("aborted on purpose"));
  }
  block(fail) {
    return this.ctx.blockConcurrencyWhile(async () => {
      if (fail) throw new Error("blocked on purpose");
      await scheduler.wait(5);
      return "unblocked";
    });
  }

  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === "/throw") throw new RangeError("thrown by fetch");
    if (url.pathname === "/nothing") return undefined;
    if (url.pathname === "/redirect") return Response.redirect("http://object/landed", 302);
    if (url.pathname === "/stream") return new Response(this.stream(), { headers: { "content-type": "text/plain" } });
    return Response.json({
      method: request.method,
      url: request.url,
      header: request.headers.get("x-test"),
      cf: Object.keys(request.cf ?? {}).length > 0,
      body: await request.text(),
    });
  }
}

export class Notes extends DurableObject {
  alarm() {}
  perform(name, at) {
    return perform(this, name, this.ctx, this.env, at);
  }
}

/** Its constructor waits, or fails for names that say so. */
export class Ledger extends DurableObject {
  #made = [];
  constructor(ctx, env) {
    super(ctx, env);
    if (ctx.id.name?.endsWith("_breaks")) throw new RangeError("not made");
    ctx.blockConcurrencyWhile(async () => {
      if (ctx.id.name?.endsWith("_breaks_later")) throw new RangeError("not made in time");
      await scheduler.wait(10);
      this.#made.push("ready");
    });
  }
  made() {
    return this.#made;
  }
}

export class Bell extends DurableObject {
  #memory = 0;
  /** @param failures rings that throw before one passes */
  async setIn(milliseconds, failures = 0, again = false) {
    this.#memory = failures;
    await this.ctx.storage.put({ rings: [], again });
    const at = Date.now() + milliseconds;
    await this.ctx.storage.setAlarm(at);
    return at;
  }
  async alarm(info) {
    const rings = await this.ctx.storage.get("rings");
    const off = Date.now() - info.scheduledTime;
    rings.push({
      members: Object.keys(info).toSorted(),
      retryCount: info.retryCount,
      isRetry: info.isRetry,
      early: off < 0,
      set: await this.ctx.storage.getAlarm(),
    });
    await this.ctx.storage.put("rings", rings);
    if (this.#memory-- > 0) {
      await this.ctx.storage.sync();
      throw new Error("The bell is broken");
    }
    if (await this.ctx.storage.get("again")) {
      await this.ctx.storage.put("again", false);
      await this.ctx.storage.setAlarm(Date.now() + 20);
    }
  }
  async heard() {
    return { rings: await this.ctx.storage.get("rings"), next: (await this.ctx.storage.getAlarm()) !== null };
  }
  cancel() {
    return this.ctx.storage.deleteAlarm();
  }
  clear() {
    return this.ctx.storage.deleteAll();
  }
}

/** Takes sockets as `?as=` says and writes down what happens to them. */
export class Lobby extends DurableObject {
  #made = crypto.randomUUID();
  constructor(ctx, env) {
    super(ctx, env);
    if (ctx.getWebSockets("auto").length > 0) ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  }
  async fetch(request) {
    const { searchParams } = new URL(request.url);
    if (searchParams.get("as") === "nothing") return new Response("no sockets here", { status: 426 });
    const [client, server] = Object.values(new WebSocketPair());
    const tags = searchParams.getAll("tag");
    if (searchParams.get("as") === "plain") {
      server.accept();
      server.addEventListener("message", ({ data }) => server.send(`plain: ${data}`));
      server.addEventListener("close", ({ code, reason }) => void this.ctx.storage.put("closed", { code, reason }));
    } else {
      this.ctx.acceptWebSocket(server, searchParams.has("tag") ? tags : undefined);
      if (tags.includes("auto")) this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
      server.serializeAttachment({ tags, since: new Date(0) });
    }
    return new Response(null, { status: 101, webSocket: client, headers: { "x-lobby": "open" } });
  }
  async webSocketMessage(socket, message) {
    const [verb, ...rest] = typeof message === "string" ? message.split(" ") : ["bytes"];
    if (verb === "throw") throw new Error("The lobby is broken");
    if (verb === "bytes") socket.send(message);
    else if (verb === "made") socket.send(this.#made);
    else if (verb === "close") socket.close(Number(rest[0]), rest[1]);
    else socket.send(JSON.stringify(await this.#answer(socket, verb, rest).catch((thrown) => ({ error: tell(thrown) }))));
  }
  async #answer(socket, verb, rest) {
    if (verb === "attach") return socket.serializeAttachment("a".repeat(Number(rest[0])));
    if (verb === "attachment") return show(socket.deserializeAttachment());
    if (verb === "tags") return this.ctx.getTags(socket);
    if (verb === "sockets") return this.ctx.getWebSockets(...rest).length;
    if (verb === "state") return [socket.readyState, socket.url, socket.protocol, socket.extensions];
    if (verb === "auto") return show([this.ctx.getWebSocketAutoResponse(), this.ctx.getWebSocketAutoResponseTimestamp(socket) !== null]);
    return message(verb, rest);
  }
  async webSocketClose(socket, code, reason, wasClean) {
    await this.ctx.storage.put("closed", { code, reason, wasClean, state: socket.readyState });
    if (code !== 1006 && code !== 1005) socket.close(code, reason);
  }
  async webSocketError(_socket, error) {
    await this.ctx.storage.put("erred", tell(error));
  }
  closed() {
    return this.ctx.storage.get("closed");
  }
  many() {
    return this.ctx.getWebSockets().length;
  }
  /** What is refused of a socket, by name. */
  refused(name) {
    const [, server] = Object.values(new WebSocketPair());
    const refusals = {
      tags: () =>
        this.ctx.acceptWebSocket(
          server,
          Array.from({ length: 11 }, (_, index) => `t${index}`),
        ),
      tag: () => this.ctx.acceptWebSocket(server, ["t".repeat(257)]),
      emptyTag: () => this.ctx.acceptWebSocket(server, [""]),
      twice: () => {
        this.ctx.acceptWebSocket(server);
        this.ctx.acceptWebSocket(server);
      },
      accepted: () => {
        server.accept();
        this.ctx.acceptWebSocket(server);
      },
      stranger: () => this.ctx.getTags(server),
      auto: () => this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("x".repeat(2049), "y")),
      timeout: () => this.ctx.setHibernatableWebSocketEventTimeout(604_800_001),
      attachment: () => server.serializeAttachment(() => 1),
    };
    return refusals[name]();
  }
}

function message(verb, rest) {
  return `echo: ${[verb, ...rest].join(" ")}`;
}
