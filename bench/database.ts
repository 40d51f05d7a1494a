// What an account leaves in the database while it lives: pages in use, read beside the running installation.
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { startInstallation, UNCAPPED } from "../test/fixtures/installation.ts";
import { openClient, type Account } from "./client.ts";
import type { Group } from "./report.ts";

const ACCOUNTS = 500;
const WITH_WORKER = 100;

/** Bytes of pages in use, those still in the log included. */
function usedBytes(data: string): number {
  const database = new DatabaseSync(join(data, "mayfly.db"), { readOnly: true });
  try {
    const read = (pragma: string): number => Number(Object.values(database.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
    return (read("page_count") - read("freelist_count")) * read("page_size");
  } finally {
    database.close();
  }
}

export const database: Group = async (say) => {
  await using installation = await startInstallation(UNCAPPED);
  using client = openClient(installation);
  say(`${ACCOUNTS} accounts, ${WITH_WORKER} of them with a Worker`);
  const empty = usedBytes(installation.data);
  const accounts: Account[] = [];
  for (let at = 0; at < ACCOUNTS; at++) accounts.push(await client.provision());
  const provisioned = usedBytes(installation.data);
  for (const account of accounts.slice(0, WITH_WORKER)) {
    await client.upload(account, "hello");
    await client.publish(account);
  }
  const deployed = usedBytes(installation.data);
  const bare = (provisioned - empty) / ACCOUNTS;
  const worker = (deployed - provisioned) / WITH_WORKER;
  return [{ name: "database of one account", unit: "bytes", values: { account: bare, worker, both: bare + worker } }];
};
