// A whole installation is used, misused and broken at its most talkative, and then everything that it printed and wrote
// is searched for every secret that it gave out or was given.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { newSecret } from "../../src/kernel/ids.ts";
import { awaitUntil } from "../fixtures/await-until.ts";
import { FormBrowser } from "../fixtures/form-browser.ts";
import { startInstallation, type Installation } from "../fixtures/installation.ts";
import { solveChallenge } from "../fixtures/solve-challenge.ts";
import { tenantAt } from "../fixtures/tenant.ts";

const percent = (secret: string): string => Array.from(Buffer.from(secret), (byte) => `%${byte.toString(16)}`).join("");

/** A secret as bytes on disk or in a line could hold it. */
function spellings(secret: string): Buffer[] {
  // A part is worth nearly as much as the whole.
  const part = secret.length > 50 ? secret.slice(6, 46) : secret;
  const shifted = [0, 1, 2].map((at) =>
    Buffer.from(`${" ".repeat(at)}${part}`)
      .toString("base64")
      .slice(4, -4),
  );
  const texts = [part, part.toUpperCase(), percent(part), percent(part).toUpperCase(), Buffer.from(part).toString("hex"), ...shifted];
  return [...texts.map((one) => Buffer.from(one)), Buffer.from(part, "utf16le")];
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Of every process of this machine, as anybody on it can read them. */
function processArguments(): Buffer {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return Buffer.concat(
    pids.map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`);
      } catch {
        return Buffer.alloc(0);
      }
    }),
  );
}

const rawly = (port: number, bytes: string): Promise<string> => {
  const socket = connect(port, "127.0.0.1").on("error", () => undefined);
  socket.setTimeout(3_000, () => socket.destroy());
  socket.end(bytes);
  return text(socket).catch(() => "");
};

/** Everything secret, by what it is. */
class Canaries {
  readonly all = new Map<string, string>();
  add(what: string, secret: string): string {
    assert.ok(secret.length >= 12, `${what}: ${secret}`);
    this.all.set(what, secret);
    return secret;
  }
}

const CODE = `export default { async fetch(request, env) {
  const say = request.headers.get("x-say") ?? "";
  console.log("is told", say, { deep: [say] }, env.PASSWORD.length);
  if (request.url.includes("throw")) throw new Error("breaks with " + say);
  return new Response("ok");
} };`;

type Account = { readonly account: { readonly id: string; readonly apiToken: string }; readonly claim: { readonly url: string } };

async function provisioned(installation: Installation, canaries: Canaries): Promise<Account> {
  const post = async (path: string, body: unknown): Promise<never> => {
    const answer = await fetch(installation.api + path, { method: "POST", body: JSON.stringify(body) });
    return ((await answer.json()) as { result: never }).result;
  };
  const challenge = await post("/provisioning/previews/challenge", {});
  const { challengeToken } = challenge as { challengeToken: string };
  canaries.add("challenge", challengeToken);
  await post("/provisioning/previews", { acceptTermsOfService: "yes", challengeToken, solution: { checkpoints: "AAAA" } });
  const again = await post("/provisioning/previews/challenge", {});
  const asked = { acceptTermsOfService: "yes", challengeToken: (again as { challengeToken: string }).challengeToken };
  const made: Account = await post("/provisioning/previews", { ...asked, solution: { checkpoints: solveChallenge(again) } });
  canaries.add("token of the account to be claimed", made.account.apiToken);
  canaries.add("claim link", made.claim.url.split("#")[1] ?? "");
  return made;
}

/** Deploys and uses what hands out capabilities. */
async function uses(installation: Installation, canaries: Canaries) {
  const tenant = await tenantAt(installation);
  canaries.add("token", tenant.token);
  const password = canaries.add("secret of a Worker", `hunter-${newSecret("mfi").slice(10, 40)}`);
  const jwt = canaries.add("asset session", await tenant.uploadAssets("app", { "/a.txt": "a file" }));
  const bindings = [{ type: "secret_text", name: "PASSWORD", text: password }];
  await tenant.deploy("app", CODE, { metadata: { bindings, assets: { jwt } } });
  const tail = await tenant.call<{ id: string; url: string }>("POST", `/accounts/${tenant.id}/workers/scripts/app/tails`, '{"filters":[]}');
  canaries.add("address of a tail", new URL(tail.result.url).href.split(/[/?=]/).at(-1) ?? "");
  const database = await tenant.call<{ uuid: string }>("POST", `/accounts/${tenant.id}/d1/database`, '{"name":"db"}');
  const exported = await tenant.call<{ result?: { signed_url: string }; signed_url?: string; at_bookmark?: string }>(
    "POST",
    `/accounts/${tenant.id}/d1/database/${database.result.uuid}/export`,
    '{"output_format":"polling"}',
  );
  const url = exported.result.result?.signed_url ?? exported.result.signed_url ?? "";
  canaries.add("address of an export", url.split(/[/?=]/).at(-1) ?? "");
  assert.equal((await fetch(url.replace("localhost", "127.0.0.1"))).status, 200);
  return tenant;
}

/** Everything that can be done wrongly with a secret at the two ports. */
async function misuses(installation: Installation, canaries: Canaries, host: string, account: string): Promise<void> {
  const { api, apiPort, edgePort, origin } = installation;
  const secrets = [...canaries.all].filter(([what]) => what !== "operator's link");
  for (const [what, secret] of secrets) {
    // What lives on is tried in places that do not end it.
    const kind = (["mft", "mfi", "mfk"] as const).find((one) => secret.startsWith(`${one}_`));
    const lives = kind === undefined ? secret : newSecret(kind);
    if (lives !== secret) canaries.add(`made up in place of ${what}`, lives);
    const header = { authorization: `Bearer ${secret}x` };
    const inAddress = encodeURIComponent(lives);
    const paths = [`/nothing/${inAddress}`, `/accounts/${inAddress}/workers`, `/accounts?x=${inAddress}`, `/accounts?x=${percent(lives)}`];
    const ours = /^mf[a-z]_/.test(lives) ? paths : [];
    for (const path of ours) await fetch(api + path, { headers: header });
    for (const page of ours.length > 0 ? [`/claim?${lives}`, `/claim/${lives}`, `/sign-in?next=${lives}`] : [])
      await fetch(origin.replace("localhost", "127.0.0.1") + page, { headers: { host: new URL(origin).host } });
    for (const path of ours) await installation.edge(host, path);
    await fetch(`${api}/accounts/${account}/workers/scripts/app`, { method: "PUT", body: secret, headers: header });
    await fetch(`${api}/accounts/${account}/d1/database`, {
      method: "POST",
      body: JSON.stringify({ [secret]: secret }),
      headers: { authorization: `Basic ${secret}` },
    });
    await fetch(`${api}/provisioning/previews`, {
      method: "POST",
      body: JSON.stringify({ acceptTermsOfService: secret, challengeToken: secret }),
    });
    await fetch(`${api}/accounts`, { headers: { authorization: secret, cookie: `s=${secret}`, "x-token": secret } });
    for (const port of [apiPort, edgePort]) {
      await rawly(port, `GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${secret}\r\nbroken ${secret}\r\n\r\n`);
      await rawly(port, `${secret} / HTTP/1.1\r\n\r\n`);
    }
    if (/^mf[a-z]_/.test(secret)) {
      await installation.edge(host, "/", { "x-say": secret, authorization: `Bearer ${secret}`, cookie: `c=${secret}` });
      await installation.edge(host, "/throw", { "x-say": secret });
    }
  }
}

/** The page through which a person takes the account, and all that they are given. */
async function claims(installation: Installation, canaries: Canaries, link: string, account: string): Promise<void> {
  const browser = new FormBrowser({ url: new URL(installation.origin) });
  const person = { name: "Ada", email: "ada@example.com", password: canaries.add("password", "correct horse battery staple") };
  const wrong = canaries.add("wrong password", "incorrect horse battery staple");
  await browser.opens(link);
  await browser.send("/claim/sign-in", { form: { ...person, password: wrong } });
  await browser.signsUp(person);
  for (const [name, { value }] of browser.cookies) canaries.add(`cookie ${name}`, decodeURIComponent(value));
  const shown = await browser.confirms(account);
  canaries.add("owner's token", /mft_[0-9a-z]{57}/.exec(shown.text)?.[0] ?? "");
}

/** The first operator, by the link that was printed, and what they make. @returns an operator's key */
async function operates(installation: Installation, canaries: Canaries, link: string): Promise<string> {
  const browser = new FormBrowser({ url: new URL(installation.origin) });
  const password = canaries.add("operator's password", "a horse of correct battery");
  await browser.send("/operator/open", { form: { link: `${installation.origin}/operator#${link}` } });
  for (const [name, { value }] of browser.cookies) canaries.add(`operator's cookie ${name}`, decodeURIComponent(value));
  await browser.send("/operator/sign-up", { form: { name: "Olga", email: "olga@example.com", password } });
  const invited = await browser.send("/invitations", { form: {} });
  canaries.add("invitation", /mfi_[0-9a-z]{57}/.exec(invited.text)?.[0] ?? assert.fail(invited.text));
  const { text: page } = await browser.send("/operations/keys");
  const form = /name="form" value="([0-9a-f]{32})"/.exec(page)?.[1] ?? assert.fail(page);
  const made = await browser.send("/operations/keys", { form: { form, name: "CI", access: "full", life: "1d" } });
  return canaries.add("operator's key", /mfk_[0-9a-z]{57}/.exec(made.text)?.[0] ?? assert.fail(made.text));
}

const asOperator = async ({ api }: Installation, key: string, query = ""): Promise<number> =>
  (await fetch(`${api}/operator/overview${query}`, { headers: { authorization: `Bearer ${key}` } })).status;

/** Whatever the account's token can read of what happened. */
async function readable(tenant: Awaited<ReturnType<typeof tenantAt>>): Promise<string> {
  const paths = ["trail", "logs?limit=1000", "metrics", "limits", "workers/scripts/app/settings", "workers/scripts/app/versions"];
  const answers = await Promise.all(paths.map((path) => tenant.call("GET", `/accounts/${tenant.id}/${path}`)));
  return JSON.stringify(answers);
}

test("no secret that was given out or sent is printed or written anywhere", { timeout: 300_000 }, async () => {
  const canaries = new Canaries();
  await using installation = await startInstallation({ MAYFLY_LOG_LEVEL: "trace", MAYFLY_D1_DATABASES: "3" });
  const operator = /\/operator#(mfo_[0-9a-z]{57})/.exec(installation.output())?.[1] ?? assert.fail("there is no operator's link");
  canaries.add("operator's link", operator);
  const key = await operates(installation, canaries, operator);
  const tenant = await uses(installation, canaries);
  const { account, claim } = await provisioned(installation, canaries);
  await misuses(installation, canaries, tenant.host("app"), tenant.id);
  await claims(installation, canaries, claim.url, account.id);
  assert.equal((await tenant.call("GET", `/accounts/${tenant.id}`)).status, 200, "its token lives on");
  assert.equal(await asOperator(installation, key), 200, "so does the operator's key");
  const marker = `no-secret-${newSecret("mfi").slice(10, 40)}`;
  await installation.edge(tenant.host("app"), `/?${marker}`, { "x-say": marker });
  const seen = await readable(tenant);
  assert.match(seen, /is told mft_\[redacted\]/, "the log has what the Worker wrote, without the secret");
  const figures = await (await fetch(`http://127.0.0.1:${installation.apiPort}/metrics`)).text();
  const commands = processArguments();
  // Errors of the worse kind: half of the installation is away.
  process.kill(installation.pidOf("host") ?? 0, "SIGKILL");
  const broken = await tenant.call("POST", `/accounts/${tenant.id}/d1/database`, '{"name":"another"}');
  await installation.edge(tenant.host("app"), "/").catch(() => undefined);
  assert.ok(broken.status === 503 || broken.status === 200, String(broken.status));
  await awaitUntil(async () => (await fetch(`http://127.0.0.1:${installation.apiPort}/healthz`)).ok, {
    what: "it is well again",
    deadlineMs: 60_000,
  });
  canaries.add("token in an address", tenant.token);
  await installation.edge(tenant.host("app"), `/?${tenant.token}`);
  await awaitUntil(async () => (await tenant.call("GET", "/accounts")).status === 401, { what: "the token that leaked is ended" });
  assert.equal(await asOperator(installation, key, `?${key}`), 400);
  assert.equal(await asOperator(installation, key), 401, "the key that leaked is ended");

  const printed = installation.output().replace(`/operator#${operator}`, "");
  for (const word of ["token_refused", "invalid_input", "unauthenticated"]) assert.ok(printed.includes(word), `it was talkative: ${word}`);
  const places = new Map<string, Buffer>([
    ["what was printed", Buffer.from(printed)],
    ["what the account reads", Buffer.from(seen)],
    ["/metrics", Buffer.from(figures)],
    ["arguments of processes", commands],
  ]);
  const files = filesBelow(installation.data).filter((path) => statSync(path).size < 100_000_000);
  assert.ok(files.some((path) => path.includes("mayfly.db")) && files.some((path) => path.includes("logs")), files.join("\n"));
  for (const path of files) places.set(path, readFileSync(path));
  const held = [...places].filter(([, bytes]) => bytes.includes(marker)).map(([where]) => where);
  assert.ok(
    held.some((where) => where.includes("logs")),
    `what is no secret is found by the same search: ${held.join(", ")}`,
  );
  const found: string[] = [];
  for (const [what, secret] of canaries.all) {
    for (const [where, bytes] of places)
      if (spellings(secret).some((spelled) => bytes.includes(spelled))) found.push(`${what} in ${where}`);
  }
  assert.ok(canaries.all.size > 15, String(canaries.all.size));
  assert.deepEqual(found, []);
});
