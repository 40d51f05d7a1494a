// Steady traffic to many accounts while they are redeployed, split, rolled back and stopped as idle: no request fails,
// none is answered by another account, and none by a version that did not serve between its beginning and its end.
import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { after, before, describe, test } from "node:test";
import { text } from "node:stream/consumers";
import { startInstallation, UNCAPPED, type Installation } from "../fixtures/installation.ts";
import { tenantAt, uploadForm, type Tenant } from "../fixtures/tenant.ts";

const ACCOUNTS = 100;
const REQUESTS = 50_000;
const CONNECTIONS = 32;
/** Accounts that are asked at one time; the others fall idle and are stopped. */
const FOCUS = 24;
/** Requests until one account of the focus gives way to another. */
const FOCUS_TURN = 125;
const WORKER = "traffic";

/** What serves from when a change was sent until the next one was accepted. */
type Serving = { readonly markers: ReadonlySet<string>; readonly sentMs: number; supersededMs: number };
type Version = { readonly id: string; readonly marker: string };
type Site = { readonly tenant: Tenant; readonly host: string; readonly past: Serving[]; latest: Version; made: number; changing: boolean };

const code = (marker: string): string => `export default { fetch() { return new Response(${JSON.stringify(marker)}); } };`;
const scripts = ({ tenant }: Site): string => `/accounts/${tenant.id}/workers/scripts/${WORKER}`;

/** Runs a change of what serves; both sides of it are allowed answers until it is accepted. */
async function change(site: Site, markers: readonly string[], act: () => Promise<{ status: number; message: string }>): Promise<void> {
  const sentMs = performance.now();
  const before = site.past.at(-1);
  site.past.push({ markers: new Set(markers), sentMs, supersededMs: Infinity });
  const answer = await act();
  assert.equal(answer.status, 200, answer.message);
  if (before) before.supersededMs = performance.now();
}

const deployments = (site: Site, versions: readonly (readonly [Version, number])[]) =>
  site.tenant.call(
    "POST",
    `${scripts(site)}/deployments`,
    JSON.stringify({ strategy: "percentage", versions: versions.map(([{ id }, percentage]) => ({ version_id: id, percentage })) }),
  );

const nextMarker = (site: Site): string => `${site.tenant.id} ${++site.made}`;

async function upload(site: Site): Promise<Version> {
  const marker = nextMarker(site);
  const answer = await site.tenant.call<{ id: string }>("POST", `${scripts(site)}/versions`, uploadForm(code(marker)));
  assert.equal(answer.status, 200, answer.message);
  return { id: answer.result.id, marker };
}

async function redeploy(site: Site): Promise<void> {
  const marker = nextMarker(site);
  await change(site, [marker], async () => {
    const answer = await site.tenant.call<{ deployment_id: string }>("PUT", scripts(site), uploadForm(code(marker)));
    site.latest = { id: answer.result.deployment_id, marker };
    return answer;
  });
}

/** A split, then one of the two versions for everybody: on, or back. */
async function splitAndSettle(site: Site, share: number): Promise<void> {
  const [old, next] = [site.latest, await upload(site)];
  await change(site, [old.marker, next.marker], () =>
    deployments(site, [
      [old, 100 - share],
      [next, share],
    ]),
  );
  const kept = share > 50 ? next : old;
  await change(site, [kept.marker], () => deployments(site, [[kept, 100]]));
  site.latest = kept;
}

async function newSite(installation: Installation): Promise<Site> {
  const tenant = await tenantAt(installation);
  const site: Site = { tenant, host: tenant.host(WORKER), past: [], latest: { id: "", marker: "" }, made: 0, changing: false };
  await redeploy(site);
  const opened = await tenant.call("POST", `${scripts(site)}/subdomain`, JSON.stringify({ enabled: true }));
  assert.equal(opened.status, 200, opened.message);
  return site;
}

function ask(installation: Installation, host: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port: installation.edgePort, headers: { host }, agent }, (answer) => {
      text(answer).then((body) => resolve(answer.statusCode === 200 ? body : `status ${answer.statusCode}: ${body}`), reject);
    });
    asked.on("error", reject).end();
  });
}

/** Why this is no answer that the site could have given in that time; null where it is one. */
function judge(site: Site, said: string, beganMs: number, endedMs: number): string | null {
  const fits = site.past.some(({ markers, sentMs, supersededMs }) => markers.has(said) && sentMs <= endedMs && supersededMs >= beganMs);
  if (fits) return null;
  const known = site.past.some(({ markers }) => markers.has(said));
  return `${site.host}: ${known ? "a version out of its time" : "not an answer of this account"}: ${said.slice(0, 200)}`;
}

type Tally = { asked: number; changes: number; readonly faults: string[] };

async function visitor(installation: Installation, sites: readonly Site[], focus: number[], tally: Tally, agent: Agent): Promise<void> {
  while (tally.asked < REQUESTS && tally.faults.length < 20) {
    const at = tally.asked++;
    if (at % FOCUS_TURN === 0) focus[(at / FOCUS_TURN) % FOCUS] = (FOCUS + at / FOCUS_TURN) % ACCOUNTS;
    const site = sites[focus[at % FOCUS] ?? 0];
    if (site === undefined) throw new Error("the focus lies outside of the accounts");
    const beganMs = performance.now();
    const said = await ask(installation, site.host, agent).catch(String);
    const fault = judge(site, said, beganMs, performance.now());
    if (fault !== null) tally.faults.push(fault);
  }
}

async function changer(sites: readonly Site[], focus: readonly number[], tally: Tally, first: number): Promise<void> {
  for (let turn = first; tally.asked < REQUESTS && tally.faults.length < 20; turn += 2) {
    // Mostly those that are asked, sometimes one that sleeps.
    const site = sites[turn % 5 === 4 ? (turn * 37) % ACCOUNTS : (focus[turn % FOCUS] ?? 0)];
    if (site === undefined || site.changing) continue;
    site.changing = true;
    await (turn % 3 === 0 ? redeploy(site) : splitAndSettle(site, turn % 2 === 0 ? 30 : 80));
    site.changing = false;
    tally.changes++;
  }
}

describe("traffic to many accounts that change", () => {
  let installation: Installation;
  const sites: Site[] = [];
  before(async () => {
    installation = await startInstallation({
      ...UNCAPPED,
      MAYFLY_CAPSULES_HOT: "60",
      MAYFLY_IDLE_SECONDS: "1",
      MAYFLY_ACCOUNT_TTL_SECONDS: "1800",
    });
    for (let at = 0; at < ACCOUNTS; at++) sites.push(await newSite(installation));
  });
  after(() => installation[Symbol.asyncDispose]());

  test(`${REQUESTS} requests to ${ACCOUNTS} accounts meet no failure, no wrong version, no wrong account`, async (t) => {
    const tally: Tally = { asked: 0, changes: 0, faults: [] };
    const focus = Array.from({ length: FOCUS }, (_, at) => at);
    const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
    const began = performance.now();
    const visitors = Array.from({ length: CONNECTIONS }, () => visitor(installation, sites, focus, tally, agent));
    await Promise.all([...visitors, changer(sites, focus, tally, 0), changer(sites, focus, tally, 1)]);
    agent.destroy();
    t.diagnostic(`${tally.changes} changes, ${Math.round(REQUESTS / ((performance.now() - began) / 1000))} requests a second`);
    assert.deepEqual(tally.faults, []);
    assert.ok(tally.changes >= 30, `${tally.changes} changes went on meanwhile`);
    const starts = /^mayfly_capsule_starts_total (\d+)/m.exec(await (await fetch(`${new URL(installation.api).origin}/metrics`)).text());
    assert.ok(Number(starts?.[1]) > ACCOUNTS + tally.changes, "capsules were stopped as idle and started again");
  });
});
