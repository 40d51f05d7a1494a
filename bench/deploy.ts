// From an upload to its first response, in the calls that wrangler makes: PUT, make public (the first time), ask.
import { startInstallation } from "../test/fixtures/installation.ts";
import { bareStartMs } from "./bare.ts";
import { askUntil, openClient } from "./client.ts";
import { median, spread, type Group, type Row } from "./report.ts";

const WARM_UP = 3;
const ACCOUNTS = 40;
const AIM_MS = 80;

type Times = { readonly put: number[]; readonly publish: number[]; readonly ask: number[]; readonly whole: number[] };

const times = (): Times => ({ put: [], publish: [], ask: [], whole: [] });

function rows(name: string, { put, publish, ask, whole }: Times, bare: readonly number[]): Row[] {
  return [
    {
      name: `${name}: upload sent → first new response`,
      unit: "ms",
      values: spread(whole),
      aim: { value: "p50", atMost: AIM_MS },
      ratio: { peer: "bare start", value: median(whole) / median(bare) },
    },
    { name: "… upload sent → accepted", unit: "ms", values: spread(put) },
    ...(publish.length > 0 ? [{ name: "… made public", unit: "ms" as const, values: spread(publish) }] : []),
    { name: "… edge asked → first new response", unit: "ms", values: spread(ask) },
  ];
}

export const deploy: Group = async (say) => {
  await using installation = await startInstallation();
  using client = openClient(installation);
  const [first, again, bare] = [times(), times(), [] as number[]];
  let stale = 0;
  say(`${ACCOUNTS} first deploys and as many redeploys`);
  for (let at = -WARM_UP; at < ACCOUNTS; at++) {
    const account = await client.provision();
    const host = await client.hostOf(account);
    const put = await client.upload(account, "one");
    const publish = await client.publish(account);
    const asked = await askUntil(installation, host, "one");
    const putAgain = await client.upload(account, "two");
    const askedAgain = await askUntil(installation, host, "two");
    if (at < 0) continue;
    first.put.push(put);
    first.publish.push(publish);
    first.ask.push(asked.ms);
    first.whole.push(put + publish + asked.ms);
    again.put.push(putAgain);
    again.ask.push(askedAgain.ms);
    again.whole.push(putAgain + askedAgain.ms);
    stale += asked.stale + askedAgain.stale;
    bare.push(await bareStartMs());
  }
  if (stale > 0) say(`${stale} answers were not yet the new ones`);
  return [...rows("first deploy", first, bare), ...rows("redeploy", again, bare)];
};
