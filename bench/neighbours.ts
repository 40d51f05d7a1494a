// Two quiet accounts beside one that takes whatever it can get: what it adds to their p99 once the watchdog has
// acted, and how long that takes.
import { startInstallation, UNCAPPED } from "../test/fixtures/installation.ts";
import { attack, settle } from "../test/fixtures/neighbours.ts";
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
  return rows;
};
