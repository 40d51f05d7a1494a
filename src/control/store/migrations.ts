// Every change of the tables, oldest first; one that has run anywhere is never edited. Portable between
// SQLite and PostgreSQL: bigint for times, text for ids and JSON, and the one type that differs is passed in.
import type { Migration } from "kysely/migration";
import { accountsMigration } from "./migrations/0001-accounts.ts";
import { workersMigration } from "./migrations/0002-workers.ts";
import { peopleMigration } from "./migrations/0003-people.ts";
import { trafficMigration } from "./migrations/0004-traffic.ts";
import { passkeysMigration } from "./migrations/0005-passkeys.ts";
import { kvMigration } from "./migrations/0006-kv.ts";
import { d1Migration } from "./migrations/0007-d1.ts";
import { objectsMigration } from "./migrations/0008-objects.ts";
import { wakesMigration } from "./migrations/0009-wakes.ts";
import { secretsStoreMigration } from "./migrations/0010-secrets-store.ts";
import { admissionMigration } from "./migrations/0011-admission.ts";
import { operatorMigration } from "./migrations/0012-operator.ts";
import { reportsMigration } from "./migrations/0013-reports.ts";
import type { Dialect } from "./schema.ts";

export function migrations(dialect: Dialect): Record<string, Migration> {
  return {
    "0001-accounts": accountsMigration(dialect),
    "0002-workers": workersMigration(dialect),
    "0003-people": peopleMigration(dialect),
    "0004-traffic": trafficMigration,
    "0005-passkeys": passkeysMigration(dialect),
    "0006-kv": kvMigration,
    "0007-d1": d1Migration,
    "0008-objects": objectsMigration,
    "0009-wakes": wakesMigration,
    "0010-secrets-store": secretsStoreMigration(dialect),
    "0011-admission": admissionMigration,
    "0012-operator": operatorMigration,
    "0013-reports": reportsMigration(dialect),
  };
}
