// An agent that takes the time of its calls: the API over one kept connection, the edge over a new one each time.
import { Agent, request } from "node:http";
import { buffer, text } from "node:stream/consumers";
import { Readable } from "node:stream";
import { uploadBody } from "../test/fixtures/house.ts";
import type { Installation } from "../test/fixtures/installation.ts";
import { solveChallenge, type Work } from "../test/fixtures/solve-challenge.ts";

export const SCRIPT = "hello";
const DOMAIN = "mayfly.localhost";

/** A Worker that answers with a text and does nothing else. */
export const hello = (answer: string): string => `export default { fetch() { return new Response(${JSON.stringify(answer)}); } };`;

export type Account = { readonly id: string; readonly token: string };
type Sent = { readonly type: string; readonly bytes: Buffer | string };
type Answered = { readonly result: unknown; readonly ms: number };

export type Client = Disposable & {
  /** One call; fails unless it succeeds. @param token of the account, where the call wants one */
  call(method: string, path: string, body?: Sent | null, token?: string): Promise<Answered>;
  /** A new account; `ms` is the time of its creation alone, without challenge and work. */
  provision(): Promise<Account & { readonly ms: number }>;
  upload(account: Account, answer: string): Promise<number>;
  /** Makes the Worker public, as wrangler does after a first upload; milliseconds. */
  publish(account: Account): Promise<number>;
  /** Host name of the account's Worker. */
  hostOf(account: Account): Promise<string>;
};

const json = (value: unknown): Sent => ({ type: "application/json", bytes: JSON.stringify(value) });

async function multipart(answer: string): Promise<Sent> {
  const response = new Response(uploadBody(hello(answer)));
  const type = response.headers.get("content-type") ?? "";
  return { type, bytes: await buffer(Readable.from(Buffer.from(await response.arrayBuffer()))) };
}

/** @param installation whose API is called */
export function openClient({ apiPort }: Pick<Installation, "apiPort">): Client {
  const agent = new Agent({ keepAlive: true });
  const send = (method: string, path: string, body: Sent | null, token: string | undefined) =>
    new Promise<string>((resolve, reject) => {
      const headers = {
        ...(body && { "content-type": body.type, "content-length": Buffer.byteLength(body.bytes) }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      };
      const asked = { agent, host: "127.0.0.1", port: apiPort, method, path: `/client/v4${path}`, headers };
      const outgoing = request(asked, (incoming) => void text(incoming).then(resolve, reject));
      outgoing.once("error", reject).end(body?.bytes);
    });
  const call: Client["call"] = async (method, path, body = null, token) => {
    const startedMs = performance.now();
    const said = await send(method, path, body, token);
    const ms = performance.now() - startedMs;
    const { success, result } = JSON.parse(said) as { success: boolean; result: unknown };
    if (!success) throw new Error(`${method} ${path}: ${said}`);
    return { result, ms };
  };
  const script = ({ id }: Account): string => `/accounts/${id}/workers/scripts/${SCRIPT}`;
  return {
    call,
    provision: async () => {
      const asked = await call("POST", "/provisioning/previews/challenge", json({}));
      const { challengeToken, ...work } = asked.result as Work & { challengeToken: string };
      const solution = { checkpoints: solveChallenge(work) };
      const body = json({ acceptTermsOfService: "yes", challengeToken, solution });
      const { result, ms } = await call("POST", "/provisioning/previews", body);
      const { account } = result as { account: { id: string; apiToken: string } };
      return { id: account.id, token: account.apiToken, ms };
    },
    upload: async (account, answer) => (await call("PUT", script(account), await multipart(answer), account.token)).ms,
    publish: async (account) => {
      const body = json({ enabled: true, previews_enabled: false });
      return (await call("POST", `${script(account)}/subdomain`, body, account.token)).ms;
    },
    hostOf: async (account) => {
      const { result } = await call("GET", `/accounts/${account.id}/workers/subdomain`, null, account.token);
      return `${SCRIPT}--${(result as { subdomain: string }).subdomain}.${DOMAIN}`;
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

/** Accounts with a public Worker each, which has never been asked. */
export async function deployMany(client: Client, count: number): Promise<(Account & { readonly host: string })[]> {
  const made = [];
  for (let at = 0; at < count; at++) {
    const account = await client.provision();
    await client.upload(account, "hello");
    await client.publish(account);
    made.push({ ...account, host: await client.hostOf(account) });
  }
  return made;
}

/** Asks until the answer is the wanted one; milliseconds and the number of other answers before it. */
export async function askUntil(installation: Installation, host: string, wanted: string): Promise<{ ms: number; stale: number }> {
  const startedMs = performance.now();
  for (let stale = 0; stale < 1000; stale++) {
    const { body } = await installation.edge(host);
    if (body === wanted) return { ms: performance.now() - startedMs, stale };
  }
  throw new Error(`${host} never answered ${JSON.stringify(wanted)}.`);
}
