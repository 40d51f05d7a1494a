// What SQL that is being imported may do: everything within its own database that the process itself would let it do.
import { constants } from "node:sqlite";

/** Pragmas that change nothing but how this one import goes, or only tell something. */
const PRAGMAS = new Set(
  "case_sensitive_like defer_foreign_keys foreign_keys foreign_key_check foreign_key_list ignore_check_constraints index_info index_list index_xinfo legacy_alter_table optimize quick_check recursive_triggers reverse_unordered_selects table_info table_list table_xinfo".split(
    " ",
  ),
);
const MODULES = new Set(["fts5", "fts5vocab"]);
const FUNCTIONS = new Set(["load_extension", "fts3_tokenizer"]);

const denied = new Set<number>([
  constants.SQLITE_ATTACH,
  constants.SQLITE_DETACH,
  constants.SQLITE_TRANSACTION,
  constants.SQLITE_SAVEPOINT,
  constants.SQLITE_CREATE_TEMP_INDEX,
  constants.SQLITE_CREATE_TEMP_TABLE,
  constants.SQLITE_CREATE_TEMP_TRIGGER,
  constants.SQLITE_CREATE_TEMP_VIEW,
]);

const reserved = (name: string | null): boolean => name?.toLowerCase().startsWith("_cf_") ?? false;

/** What SQLite asks about each thing that a statement would do. */
export function mayDo(action: number, first: string | null, second: string | null): boolean {
  if (denied.has(action)) return false;
  if (action === constants.SQLITE_PRAGMA) return PRAGMAS.has((first ?? "").toLowerCase());
  if (action === constants.SQLITE_FUNCTION) return !FUNCTIONS.has((second ?? "").toLowerCase());
  if (action === constants.SQLITE_CREATE_VTABLE || action === constants.SQLITE_DROP_VTABLE) {
    return !reserved(first) && MODULES.has((second ?? "").toLowerCase());
  }
  if (action === constants.SQLITE_ANALYZE || action === constants.SQLITE_SELECT || action === constants.SQLITE_RECURSIVE) return true;
  return !reserved(first) && !reserved(second);
}

/** Why, in the words that clients of the hosted original know. */
export function whyNot(action: number): string | null {
  return action === constants.SQLITE_TRANSACTION || action === constants.SQLITE_SAVEPOINT ? TRANSACTION_WORDS : null;
}

const TRANSACTION_WORDS =
  "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements.";
