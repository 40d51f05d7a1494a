// How each kind of attack is carried out: what comes back is one text, for the judge.
import { request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { FormBrowser } from "../../fixtures/form-browser.ts";
import type { Installation } from "../../fixtures/installation.ts";
import { tenantAt, uploadForm } from "../../fixtures/tenant.ts";
import type { ApiAttack, CodeAttack, EdgeAttack, PageAttack, WearAttack } from "./attack.ts";
import { filledIn, type Attacker } from "./attacker.ts";

const HANGS_AFTER_MS = 30_000;
/** A connection that says nothing more for so long has said everything. */
const QUIET_MS = 500;

export async function byCode(installation: Installation, { tenant }: Attacker, _: CodeAttack, index: number): Promise<string> {
  const answer = await installation.edge(tenant.host("own"), `/attack/${index}`);
  return answer.status === 200 ? answer.body : `${answer.status} ${answer.body}`;
}

export async function byApi(installation: Installation, { tenant, names }: Attacker, raw: ApiAttack): Promise<string> {
  const {
    call,
    body,
    headers = {},
    upload,
  } = filledIn({ call: raw.call, body: raw.body, headers: raw.headers, upload: raw.upload }, names);
  const [method = "", path = ""] = call.split(/ (.*)/s);
  const form = upload && new Response(uploadForm(upload.code, upload));
  const all = {
    host: `localhost:${installation.apiPort}`,
    authorization: `Bearer ${tenant.token}`,
    "content-type": form?.headers.get("content-type") ?? "application/json",
    ...headers,
  };
  const bytes = form ? Buffer.from(await form.arrayBuffer()) : body;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      // As it is written: a URL would lose its dots.
      { host: "127.0.0.1", port: installation.apiPort, method, path: `/client/v4${path}`, headers: withoutEmpty(all), agent: false },
      (incoming) => {
        text(incoming).then((said) => resolve(judgeable(incoming.statusCode ?? 0, said)), reject);
      },
    );
    outgoing.setTimeout(HANGS_AFTER_MS, () => outgoing.destroy(new Error(`${call}: no answer`)));
    outgoing.once("error", reject).end(bytes);
  });
}

const withoutEmpty = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== ""));

/** `404 7003 message`, or the whole of what is no refusal. */
function judgeable(status: number, said: string): string {
  try {
    const { errors } = JSON.parse(said) as { errors?: { code: number; message: string }[] };
    const [error] = errors ?? [];
    return error && status >= 400 ? `${status} ${error.code} ${error.message}` : `${status} ${said}`;
  } catch {
    return `${status} ${said}`;
  }
}

const inText = (status: number | undefined, headers: NodeJS.Dict<string[]>, body: string): string =>
  [`${status} `, ...Object.entries(headers).flatMap(([name, values]) => (values ?? []).map((value) => `${name}: ${value}`)), "", body].join(
    "\n",
  );

function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let said = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes, "latin1"));
    socket.setTimeout(QUIET_MS, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => (said += chunk.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => resolve(said));
  });
}

export async function byEdge(installation: Installation, { names }: Attacker, attack: EdgeAttack): Promise<string> {
  const {
    host,
    path = "/",
    headers = {},
    raw: bytes,
  } = filledIn({ host: attack.host, path: attack.path, headers: attack.headers, raw: attack.raw }, names);
  if (bytes !== undefined) return raw(installation.edgePort, bytes);
  return asked(installation.edgePort, host, path, headers, HANGS_AFTER_MS);
}

/** One request, given up after some time: `cut` is then, or when the connection breaks. */
function asked(port: number, host: string, path: string, headers: Readonly<Record<string, string>>, patienceMs: number): Promise<string> {
  return new Promise((resolve) => {
    let head = "cut";
    const outgoing = request({ host: "127.0.0.1", port, path, headers: { ...headers, host }, agent: false }, (incoming) => {
      head = inText(incoming.statusCode, incoming.headersDistinct, "");
      text(incoming).then(
        (body) => resolve(head + body),
        () => resolve(head),
      );
    });
    const timer = setTimeout(() => outgoing.destroy(), patienceMs);
    outgoing.once("upgrade", (incoming, socket) => {
      socket.destroy();
      resolve(inText(incoming.statusCode, incoming.headersDistinct, ""));
    });
    outgoing.once("close", () => {
      clearTimeout(timer);
      // Otherwise the end of its body tells.
      if (head === "cut") resolve(head);
    });
    outgoing.once("error", () => resolve(head)).end();
  });
}

export async function byPages(installation: Installation, { names }: Attacker, attack: PageAttack, person: FormBrowser): Promise<string> {
  const browser = attack.as === "person" ? person : new FormBrowser({ url: new URL(installation.origin) });
  let last = "";
  for (const { path, form, headers = {}, method } of filledIn(attack.sends, names)) {
    const own = { ...(form && { origin: installation.origin }), ...headers };
    const answer = await browser.send(path, { ...(form && { form }), ...(method && { method }), headers: own });
    last = [`${answer.status} `, ...[...answer.headers].map(([name, value]) => `${name}: ${value}`), "", answer.text].join("\n");
  }
  return last;
}

/** In an account of its own, which is ended. */
export async function byWear(installation: Installation, attack: WearAttack): Promise<string> {
  const tenant = await tenantAt(installation);
  const { bindings, migrations } = { bindings: [], ...attack.metadata } as { bindings: unknown; migrations?: unknown };
  await tenant.deploy("w", attack.code, { metadata: { bindings, ...(migrations !== undefined && { migrations }) } });
  const lines: string[] = [];
  for (const path of attack.paths) {
    const answer = await asked(installation.edgePort, tenant.host("w"), path, {}, attack.patienceMs ?? HANGS_AFTER_MS);
    lines.push(answer.replace(/\n.*\n\n/s, "").slice(0, 500));
  }
  const ended = await tenant.call("DELETE", `/accounts/${tenant.id}`);
  if (ended.status !== 200) lines.unshift(`the account was not ended: ${ended.status} ${ended.message}`);
  return lines.join("\n");
}
