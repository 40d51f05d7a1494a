// `npm run faults [-- --rounds N]`: 100 rounds of SIGKILL of host, control or both while every product is being written.
import { parseArgs } from "node:util";
import { stateRounds } from "./rounds.ts";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "100" } } });
const { acknowledged, failures } = await stateRounds({ rounds: Number(values.rounds), told: (line) => console.log(line) });
console.log(
  `Acknowledged: ${Object.entries(acknowledged)
    .map(([product, writes]) => `${product} ${writes}`)
    .join(", ")}.`,
);
for (const failure of failures) console.log(`LOST  ${failure}`);
console.log(failures.length === 0 ? "Nothing was lost." : `${failures.length} faults.`);
process.exitCode = failures.length === 0 ? 0 : 1;
