// `npm run bench`: measures this installation on this machine, prints a table and keeps it as JSON.
// node bench/run.ts [--node-client] [--with NAME=VALUE …] [group …]: the named groups only; a figure that misses its aim
// never fails. `--with` is for the edge: an installation with each setting, asked in turns; else there is one for each way of
// keeping logs; and for state: one with all of them.
import { parseArgs } from "node:util";
import { coldStart } from "./cold-start.ts";
import { database } from "./database.ts";
import { deploy } from "./deploy.ts";
import { edge } from "./edge.ts";
import { memory } from "./memory.ts";
import { neighbours } from "./neighbours.ts";
import { provisioning } from "./provisioning.ts";
import { state } from "./state.ts";
import { wrangler } from "./wrangler.ts";
import { machine, save, table, type Group, type Row } from "./report.ts";

const { values, positionals } = parseArgs({
  options: { "node-client": { type: "boolean", default: false }, with: { type: "string", multiple: true, default: [] } },
  allowPositionals: true,
});
const client = values["node-client"] ? "node" : undefined;
const groups: Readonly<Record<string, Group>> = {
  provisioning,
  deploy,
  wrangler,
  "cold-start": coldStart,
  edge: edge(client, values.with),
  state: state(client, values.with),
  neighbours,
  memory,
  database,
};

async function main(): Promise<void> {
  const unknown = positionals.filter((name) => !Object.hasOwn(groups, name));
  if (unknown.length > 0) {
    process.stderr.write(`There is no group ${unknown.join(", ")}; there are ${Object.keys(groups).join(", ")}.\n`);
    process.exitCode = 2;
    return;
  }
  if (values.with.some((setting) => !/^[A-Z_]+=/.test(setting))) {
    process.stderr.write("--with takes a setting of the environment: --with NAME=VALUE.\n");
    process.exitCode = 2;
    return;
  }
  const on = machine();
  const rows: Row[] = [];
  for (const [name, group] of Object.entries(groups)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    rows.push(...(await group((line) => process.stderr.write(`${name}: ${line}\n`))));
  }
  process.stdout.write(
    `\n${table(rows)}\n\n${on.cpus} × ${on.model}, ${on.memoryGiB} GiB, Linux ${on.kernel}, Node ${on.node}, load ${on.load.toFixed(1)} at the start\n`,
  );
  process.stdout.write(`Aims are held against the median. Kept in ${save(rows, on)}\n`);
}

await main();
