// Two quiet accounts beside one that takes whatever it can get: what it adds to their p99 once the watchdog has
// acted, and how long that takes. Then four such accounts at the same time, and a thousand clients of one.
import { startInstallation, UNCAPPED, type Installation } from "../test/fixtures/installation.ts";
import { attack, settle } from "../test/fixtures/neighbours.ts";
import { besiege, crowd } from "../test/fixtures/together.ts";
import type { Group, Row } from "./report.ts";

const CULPRITS: Readonly<Record<string, string>> = {
  "an endless loop": "for (;;) {}",
  "a memory eater": "const held = []; for (;;) { held.push(new Uint8Array(4_000_000).fill(held.length + 1)); await scheduler.wait(0); }",
};

export const neighbours: Group = async (say) => {
  await using installation = await startInstallation(UNCAPPED);
  const quiet = await settle(installation);
  const rows: Row[] = [];
  for (const [name, code] of Object.entries(CULPRITS)) {
    say(`two quiet accounts beside ${name}`);
    const { quietMs, p99Ms, actedMs, failures } = await attack(installation, quiet, code, true);
    rows.push({
      name: `beside ${name}: p99 of the others`,
      unit: "ms",
      values: { quiet: quietMs, beside: p99Ms, added: p99Ms - quietMs, failures: failures.length },
      aim: { value: "added", atMost: 100 },
      ratio: { peer: "their quiet p99", value: p99Ms / quietMs },
    });
    rows.push({ name: "… until the watchdog acted", unit: "ms", values: { ms: actedMs }, aim: { value: "ms", atMost: 5000 } });
  }
  return [...rows, ...(await siege(installation, quiet, say))];
};

async function siege(installation: Installation, quiet: readonly string[], say: (line: string) => void): Promise<Row[]> {
  say("two quiet accounts beside a loop, a memory eater, a log flood and a thousand sockets at once");
  const seen = await besiege(installation, quiet, 10_000);
  say("two quiet accounts beside a thousand WebSocket clients of another");
  const crowded = await crowd(installation, quiet, 1000);
  const p99 = (name: string, { quietMs, p99Ms, failures }: typeof seen | typeof crowded): Row => ({
    name: `beside ${name}: p99 of the others`,
    unit: "ms",
    values: { quiet: quietMs, beside: p99Ms, added: p99Ms - quietMs, failures: failures.length },
    aim: { value: "added", atMost: 100 },
    ratio: { peer: "their quiet p99", value: p99Ms / quietMs },
  });
  return [
    p99("four abuses at once", seen),
    { name: "… until the limits acted", unit: "ms", values: { ms: seen.actedMs }, aim: { value: "ms", atMost: 5000 } },
    {
      name: "… CPU of the culprits and of the host",
      unit: "ratio",
      values: { culprits: seen.culpritsShare, host: seen.hostShare },
    },
    { name: "… CPU by culprit", unit: "ms", values: seen.cpuMs },
    p99("a thousand WebSockets", crowded),
    { name: "… descriptors of the host", unit: "open", values: crowded.descriptors },
  ];
}
