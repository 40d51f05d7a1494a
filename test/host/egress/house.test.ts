// The way out in a whole installation: what a refusal is to the Worker, in the account's log and in its trail, and that a
// claim opens what the claimed may have while the process runs on.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { CAP_WINDOW_MS, NO_CAPS } from "../../../src/capsule/caps.ts";
import type { AccountId } from "../../../src/kernel/ids.ts";
import { awaitUntil } from "../../fixtures/await-until.ts";
import { openHouse, uploadBody, type House, type HouseOptions } from "../../fixtures/house.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const WORKER = `
import { connect } from "cloudflare:sockets";
let id = null;
export default { async fetch(request) {
  id ??= crypto.randomUUID();
  const { pathname, searchParams } = new URL(request.url);
  const to = searchParams.get("to");
  if (pathname === "/id") return new Response(id);
  if (pathname === "/connect") {
    const socket = connect(to);
    const came = await socket.opened.then(() => "opened", (error) => "rejected: " + error.message);
    await socket.close().catch(() => {});
    return new Response(came);
  }
  if (pathname === "/ws") return new Response(String((await fetch(to, { headers: { Upgrade: "websocket" } })).status));
  const answer = await fetch(to);
  return new Response(answer.status + " " + (await answer.text()));
} };`;

type Tenant = { readonly id: AccountId; token: string; readonly label: string; readonly secret: string };
type Deed = { readonly action: string; readonly outcome: string; readonly reason: string | null; readonly count: number };

const PUBLIC = "93.184.215.14";
let site: Server;
const connected: string[] = [];

before(async () => {
  site = createServer((_incoming, outgoing) => outgoing.end("the outside")).listen(0, "127.0.0.1");
  await once(site, "listening");
});

after(() => {
  site.close();
  site.closeAllConnections();
});

const internet: NonNullable<HouseOptions["internet"]> = {
  lookup: async (name) => (name === "inside.example" ? ["10.1.2.3"] : [PUBLIC]),
  connect: (address, port) => {
    connected.push(`${address}:${port}`);
    return connect({ host: "127.0.0.1", port: (site.address() as AddressInfo).port, allowHalfOpen: true });
  },
};

async function tenant(house: House): Promise<Tenant> {
  const { account, claim } = await house.provision();
  const token = account.apiToken;
  const script = `/accounts/${account.id}/workers/scripts/w`;
  const put = await house.call("PUT", script, { token, body: uploadBody(WORKER) });
  assert.equal(put.status, 200, put.errors[0]?.message);
  await house.call("POST", `${script}/subdomain`, { token, body: '{"enabled":true}' });
  const told = await house.call<{ subdomain: string }>("GET", `/accounts/${account.id}/workers/subdomain`, { token });
  const label = `w--${told.result.subdomain.split(".")[0] ?? ""}`;
  return { id: account.id as AccountId, token, label, secret: claim.url.split("#")[1] ?? "" };
}

async function withHouse(options: Partial<HouseOptions>, run: (house: House, tenant: Tenant) => Promise<void>): Promise<void> {
  await using directory = await temporaryDirectory("egress-house");
  await using house = await openHouse({ directory: directory.path, ttlSeconds: 3_600, internet, ...options });
  await run(house, await tenant(house));
}

const out = async (house: House, { label }: Tenant, to: string, way = "/"): Promise<string> =>
  (await house.edge(label, `${way}?to=${encodeURIComponent(to)}`)).body;

const notices = async (house: House, { id }: Tenant): Promise<readonly string[]> =>
  (await house.host.capsuleHost.logs({ account: id, kind: "notice", limit: 50 })).records.flatMap((one) =>
    one.kind === "notice" ? [one.text] : [],
  );

const trail = async (house: House, { id, token }: Tenant): Promise<readonly Deed[]> =>
  (await house.call<Deed[]>("GET", `/accounts/${id}/trail`, { token })).result;

const told = (house: House, of: Tenant, action: string): Promise<Deed> =>
  awaitUntil(async () => (await trail(house, of)).find((deed) => deed.action === action), { what: `the trail tells of ${action}` });

describe("a refused way out", () => {
  test("is an answer that says why, a notice in the account's log, and an entry of its trail that names the host to the operator alone", async () => {
    await withHouse({}, async (house, worker) => {
      assert.equal(await out(house, worker, "http://example.com/"), "200 the outside");
      const before = connected.length;
      assert.match(
        await out(house, worker, "http://169.254.169.254/latest/"),
        /^403 error code: 1003\n169\.254\.169\.254 port 80 .* link-local/,
      );
      assert.match(await out(house, worker, "http://inside.example/"), /^403 .*\n.*its name leads to a private address/);
      assert.match(await out(house, worker, "inside.example:443", "/connect"), /^rejected: /);
      assert.equal(await out(house, worker, "http://inside.example/", "/ws"), "403");
      assert.equal(connected.length, before);
      assert.deepEqual((await notices(house, worker)).toSorted(), [
        "169.254.169.254 port 80 cannot be reached from here: it is a link-local address (cloud metadata among them).",
        "inside.example port 443 cannot be reached from here: its name leads to a private address.",
        "inside.example port 80 cannot be reached from here: its name leads to a private address.",
      ]);
      const deed = await told(house, worker, "egress:connect");
      assert.equal(deed.outcome, "refused");
      const all = await awaitUntil(
        async () => {
          const found = (await trail(house, worker)).filter(({ action }) => action === "egress:connect");
          return found.some(({ reason }) => /private address/.test(reason ?? "")) && found;
        },
        { what: "both reasons are told" },
      );
      assert.doesNotMatch(JSON.stringify(all), /inside\.example|169\.254/);
      const rows = await house.control.store.db
        .selectFrom("trail")
        .select(["at", "sealed"])
        .where("account_id", "=", worker.id)
        .where("action", "=", "egress:connect")
        .execute();
      const hosts = rows.map(({ at, sealed }) => (sealed === null ? "" : house.control.keys.openForOperator(at, sealed)));
      assert.match(hosts.join(), /inside\.example:/);
      assert.match(hosts.join(), /169\.254\.169\.254:80/);
    });
  });

  test("at a cap is told as the cap's, once for all, and ends with the window", async () => {
    await withHouse({ limits: { caps: { ...NO_CAPS, egress_hosts: 1, subrequests: 4 } } }, async (house, worker) => {
      assert.equal(await out(house, worker, "http://a.example/"), "200 the outside");
      for (const name of ["b", "c"])
        assert.match(await out(house, worker, `http://${name}.example/`), /^429 error code: 429\n.*1 different hosts/);
      assert.equal(await out(house, worker, "http://a.example/"), "200 the outside");
      assert.match(await out(house, worker, "http://a.example/"), /^429 error code: 429\n.*4 requests to other hosts/);
      const [hosts, requests] = [await told(house, worker, "caps:egress_hosts"), await told(house, worker, "caps:subrequests")];
      assert.equal(hosts.reason, "This account has used its 1 different hosts in 10 minutes.");
      assert.equal(requests.outcome, "refused");
      assert.equal((await notices(house, worker)).length, 2);
      const use = (await house.host.capsuleHost.usage(worker.id)).caps;
      assert.deepEqual(
        use.filter(({ cap }) => cap === "egress_hosts" || cap === "subrequests").map(({ used, refused }) => [used, refused]),
        [
          [4, 1],
          [1, 2],
        ],
      );
      house.clock.advance(CAP_WINDOW_MS);
      assert.equal(await out(house, worker, "http://b.example/"), "200 the outside");
    });
  });
});

test("a claim opens the ports of the claimed while the process runs on; mail's stay closed", async () => {
  await withHouse({ limits: { egress: { ports: [80, 443], maxConnections: 8 } } }, async (house, worker) => {
    const id = (await house.edge(worker.label, "/id")).body;
    assert.match(await out(house, worker, "http://example.com:8080/"), /^403 .*\n.*only the ports 80 and 443 are open/);
    assert.match(await out(house, worker, "example.com:5432", "/connect"), /^rejected/);
    worker.token = (await house.control.claims.take(worker.secret, { id: "ada" })).token;
    await awaitUntil(async () => (await out(house, worker, "http://example.com:8080/")) === "200 the outside", { what: "the port opens" });
    assert.equal(await out(house, worker, "example.com:5432", "/connect"), "opened");
    const before = connected.length;
    for (const port of [25, 465, 587, 2525]) {
      assert.match(await out(house, worker, `example.com:${port}`, "/connect"), /^rejected/);
      assert.match(await out(house, worker, `http://example.com:${port}/`), /^403 .*\n.*mail is never sent from here/);
    }
    assert.match(await out(house, worker, "http://10.0.0.1/"), /^403 /);
    assert.equal(connected.length, before);
    assert.equal((await house.edge(worker.label, "/id")).body, id, "the same process");
    const deeds = await awaitUntil(
      async () => {
        const found = (await trail(house, worker)).filter(({ reason }) => /mail is never sent/.test(reason ?? ""));
        return found.length > 0 && found;
      },
      { what: "the trail tells of the mail" },
    );
    assert.equal(deeds[0]?.action, "egress:connect");
  });
});

test("what the operator closed is closed, and this installation's own pages are", async () => {
  await withHouse({ egressDeny: ["93.184.215.0/24"] }, async (house, worker) => {
    assert.match(
      await out(house, worker, "http://example.com/"),
      /^403 .*\n.*its name leads to an address that the operator of this installation has closed/,
    );
    assert.match(await out(house, worker, "http://localhost/client/v4/accounts"), /^403 .*\n.*loopback/);
  });
});
