// `npm run soak [-- --accounts 2000 --hot 200 --minutes 10]`: many accounts for minutes against one installation. Prints figures and
// exits with 1 where something leaked, ended late, or answered after its end.
import { parseArgs } from "node:util";
import { quantile } from "../../bench/report.ts";
import { soak } from "./soak.ts";

const { values } = parseArgs({
  options: {
    accounts: { type: "string", default: "2000" },
    hot: { type: "string", default: "200" },
    minutes: { type: "string", default: "10" },
  },
});
const MIB = 1_048_576;
const started = performance.now();
const say = (line: string): void => console.log(`${String(Math.round((performance.now() - started) / 1000)).padStart(5)} s  ${line}`);
const report = await soak({ accounts: Number(values.accounts), hot: Number(values.hot), minutes: Number(values.minutes), say });
const spread = (samples: readonly number[]): string =>
  samples.length === 0
    ? "none"
    : `p50 ${Math.round(quantile(samples, 0.5))}, p99 ${Math.round(quantile(samples, 0.99))}, at most ${Math.round(quantile(samples, 1))} ms`;
const mib = (bytes: readonly number[]): string => bytes.map((one) => Math.round(one / MIB)).join(" → ");
const most = (what: "capsules" | "controlRss" | "hostRss" | "controlDescriptors" | "hostDescriptors" | "walBytes"): number =>
  Math.max(...report.samples.map((sample) => sample[what]));
const rows: readonly (readonly [string, string])[] = [
  ["accounts made / ended", `${report.movedIn} / ${report.endings.length}`],
  ["requests (told to wait), redeploys", `${report.asked} (${report.crowded}), ${report.redeployed}`],
  ["time of a request", spread(report.askMs)],
  ["end → 410 outside", spread(report.endings.map(({ shownMs }) => shownMs))],
  ["end → directory erased", spread(report.endings.map(({ erasedMs }) => erasedMs))],
  ["processes of accounts, at most / in the end", `${most("capsules")} / ${report.last.capsules}`],
  ["resident MiB of control, at most / in the end", mib([most("controlRss"), report.last.controlRss])],
  ["resident MiB of host, at most / in the end", mib([most("hostRss"), report.last.hostRss])],
  ["MiB a minute once warm: control, host", `${report.slopes.control.toFixed(2)}, ${report.slopes.host.toFixed(2)}`],
  ["MiB of objects once warm → later: control; host", `${mib(report.heap.control)}; ${mib(report.heap.host)}`],
  ["descriptors, at most / in the end: control", `${most("controlDescriptors")} / ${report.last.controlDescriptors}`],
  ["descriptors, at most / in the end: host", `${most("hostDescriptors")} / ${report.last.hostDescriptors}`],
  ["MiB of the WAL, at most / in the end", mib([most("walBytes"), report.last.walBytes])],
  [
    "directories, keys, sockets, spool, groups in the end",
    [report.last.directories, report.last.keys, report.last.sockets, report.last.spooled, report.groups].join(", "),
  ],
];
console.log();
for (const [name, figure] of rows) console.log(`${name.padEnd(54)} ${figure}`);
console.log(`\n${report.violations.length} violations`);
for (const violation of report.violations) console.log(`  ${violation}`);
process.exitCode = report.violations.length > 0 ? 1 : 0;
