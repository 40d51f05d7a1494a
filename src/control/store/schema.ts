// The tables as Kysely sees them. Times are milliseconds since the epoch; JSON is text; sealed columns
// are ciphertext whose key lies outside the database. Every account-scoped table has `account_id`.
import type { ColumnType, Generated } from "kysely";
import type { AccountId, Subdomain } from "../../kernel/ids.ts";

export type Dialect = "sqlite" | "postgres";

export type AccountState = "temporary" | "claimed" | "ending" | "deleted";
export type EndReason = "expired" | "task-done" | "owner" | "operator";

type Sealed = ColumnType<Uint8Array, Uint8Array, Uint8Array>;
type SealedOrNull = ColumnType<Uint8Array | null, Uint8Array | null, Uint8Array | null>;

/** An account, and after its deletion the tombstone: id, subdomain, times, reason, the claim link's hash. */
export type AccountTable = {
  id: AccountId;
  subdomain: Subdomain;
  state: AccountState;
  end_reason: EndReason | null;
  suspended_at: number | null;
  suspended_by: "watchdog" | "operator" | null;
  suspended_reason: string | null;
  created_at: number;
  /** Null once claimed. */
  expires_at: number | null;
  claimed_at: number | null;
  ended_at: number | null;
  deleted_at: number | null;
  owner_id: string | null;
  /** Rises at claim, end and kill: whatever was derived under a lower one is dead. */
  auth_epoch: Generated<number>;
  /** Rises with every write to the account. */
  revision: Generated<number>;
  /** Rises when the composed spec changes. */
  generation: Generated<number>;
  spec_digest: string | null;
  task_id: string | null;
  /** Title and agent as the agent wrote them. */
  task_sealed: SealedOrNull;
  /** HMAC of the claim link's token. */
  claim_hash: string | null;
};

export type TokenTable = {
  id: string;
  account_id: AccountId;
  /** The person a token was made for; null for the agent's. */
  person_id: string | null;
  parent_id: string | null;
  name: string;
  /** HMAC of the secret. */
  hash: string;
  /** JSON: Permission[]. */
  permissions: string;
  audience: string | null;
  /** RFC 7800 confirmation; null: bearer. */
  cnf: string | null;
  task_id: string | null;
  epoch: number;
  created_at: number;
  expires_at: number | null;
  ended_at: number | null;
  /** To the minute; null before its first use. */
  last_used_at: number | null;
};

export type ChallengeTable = { id: string; expires_at: number };

/** `network_hash` is null in rows from before there was one. */
export type AdmissionTable = { id: string; address_hash: string; network_hash: string | null; at: number };

export type TrailTable = {
  id: string;
  at: number;
  account_id: AccountId | null;
  task_id: string | null;
  /** JSON: string[], outermost first. */
  actors: string;
  token_id: string | null;
  action: string;
  resource: string;
  outcome: "done" | "refused" | "failed" | "intent";
  reason: string | null;
  /** How many like it this entry stands for. */
  count: number;
  sealed: SealedOrNull;
};

export type WorkerTable = {
  id: string;
  account_id: AccountId;
  name: string;
  created_at: number;
  modified_at: number;
  subdomain_enabled: number;
  previews_enabled: number;
  /** JSON, sealed: tags, observability, logpush, tailConsumers. */
  settings: Sealed;
  /** JSON: [{ version_id, percentage }], the versions that serve, newest first. */
  traffic: string;
  latest_version_id: string;
  /** Numbers given so far: one is never given twice, as services of the process are named by them. */
  versions_made: number;
  deployments_made: number;
  /** Of the last migration of its Durable Object classes; null before the first. */
  migration_tag: string | null;
};

export type WorkerVersionTable = {
  /** UUID, as wrangler prints it. */
  id: string;
  account_id: AccountId;
  worker_id: string;
  number: number;
  created_at: number;
  source: string;
  compatibility_date: string;
  /** JSON: string[]. */
  compatibility_flags: string;
  /** JSON: format, and the files by name, kind, hash and size. */
  code: string;
  /** JSON: what the trial found. */
  exports: string;
  etag: string;
  startup_ms: number;
  /** JSON, sealed with the account's key: bindings with their values, annotations, metadata, configuration of assets. */
  sealed: Sealed;
  /** JSON: the static files; null without. */
  assets: string | null;
  /** Part of a preview's host name; of several versions with one alias the newest has it. */
  alias: string | null;
  /** When its preview was first visited, which brought it into the process; null when that is not why it is there. */
  previewed_at: number | null;
  /** When it was stopped with its preview because the process was in trouble. */
  preview_rested_at: number | null;
};

export type WorkerDeploymentTable = {
  id: string;
  account_id: AccountId;
  worker_id: string;
  created_at: number;
  /** Order within the Worker; times can tie. */
  number: number;
  source: string;
  /** JSON: [{ version_id, percentage }]. */
  versions: string;
  /** JSON, sealed. */
  annotations: Sealed;
};

export type AssetFileTable = {
  account_id: AccountId;
  /** The client's opaque key of content and extension. */
  client_hash: string;
  /** SHA-256 of the bytes: the file's name on disk. */
  hash: string;
  size: number;
  content_type: string | null;
  /** When it was uploaded or last named by a session. */
  wanted_at: number;
};

export type AssetSessionTable = {
  id: string;
  account_id: AccountId;
  script: string;
  /** JSON: [path, { hash, size }][]. */
  manifest: string;
  created_at: number;
  expires_at: number;
};

export type D1DatabaseTable = {
  /** UUID: names the database in the process and on disk for ever. */
  id: string;
  account_id: AccountId;
  name: string;
  created_at: number;
  read_replication: "auto" | "disabled";
};

/** A namespace of Durable Objects: id and key are for ever, owner and class may change. */
export type ObjectNamespaceTable = {
  id: string;
  account_id: AccountId;
  worker_id: string;
  class_name: string;
  /** What the ids and files of its objects derive from. */
  unique_key: string;
  /** 1: SQLite; 0: the key-value storage alone. */
  sql: number;
  /** JSON: [{ worker_id, class_name }], under which bindings may still know it. */
  former_names: string;
  created_at: number;
};

export type Role = "person" | "operator";

/** better-auth's tables; it reads and writes them with column names of its own. */
export type PersonTable = { id: string; name: string; email: string; role: Role };
export type PersonSessionTable = { id: string; userId: string; expiresAt: ColumnType<Date | string, never, never> };

/** Its password, where `password` is not null. */
export type PersonCredentialTable = { id: string; userId: string; password: string | null };

export type PersonPasskeyTable = {
  id: string;
  person_id: string;
  /** Base64url, as the authenticator gave it. */
  credential_id: string;
  /** COSE. */
  public_key: ColumnType<Uint8Array, Uint8Array, never>;
  /** Signatures so far as the authenticator counts them; 0 for ever where it does not. */
  counter: number;
  /** JSON: string[]. */
  transports: string;
  /** 1 where it is kept in sync between devices. */
  backed_up: number;
  name: string;
  created_at: number;
  last_used_at: number | null;
};

/** A link that lets one person sign up; the row is gone once it was used. */
export type PersonInvitationTable = {
  /** HMAC of the link's secret. */
  hash: string;
  role: Role;
  /** The person who made it; null for the one that start prints. */
  created_by: string | null;
  created_at: number;
  expires_at: number;
};

export type KvNamespaceTable = {
  id: string;
  account_id: AccountId;
  /** Empty once it is deleted. */
  title: string;
  created_at: number;
  /** The row goes when the data is purged. */
  deleted_at: number | null;
};

export type WorkerCronTable = {
  id: string;
  account_id: AccountId;
  worker_id: string;
  /** As it was written. */
  cron: string;
  created_at: number;
  /** When it is to be set off, or tried again; what is set off is the latest occurrence by then. */
  next_at: number;
};

/** When a cold account's process is to be started, because an alarm of its Durable Objects falls due. */
export type WakeTable = {
  account_id: AccountId;
  /** The alarm's own time. */
  at: number;
  /** When it is to be tried. */
  next_at: number;
};

export type SecretStoreTable = { id: string; account_id: AccountId; name: string; created_at: number; modified_at: number };

export type SecretTable = {
  id: string;
  account_id: AccountId;
  store_id: string;
  name: string;
  /** JSON: string[]. */
  scopes: string;
  /** JSON: value and comment. */
  sealed: Sealed;
  created_at: number;
  modified_at: number;
};

/** A range of addresses whose callers are refused. */
export type BanTable = {
  id: string;
  /** A CIDR in its canonical form. */
  range: string;
  /** The operator's own words, for operators. */
  reason: string;
  /** The person who made it. */
  created_by: string;
  created_at: number;
  expires_at: number | null;
};

/** A key with which an operator's scripts call the operator's routes. */
export type OperatorKeyTable = {
  id: string;
  /** HMAC of the secret. */
  hash: string;
  person_id: string;
  name: string;
  access: "read" | "full";
  created_at: number;
  expires_at: number;
  ended_at: number | null;
  /** To the minute; null before its first use. */
  last_used_at: number | null;
};

export type ReportKind = "phishing" | "malware" | "spam" | "other";

/** A visitor's word to the operator; the row outlives the account. */
export type ReportTable = {
  id: string;
  at: number;
  /** Null where the host name leads to no account that ever was. */
  account_id: AccountId | null;
  host: string;
  kind: ReportKind;
  /** JSON, sealed with the month's operator key: page, text, contact. */
  sealed: Sealed;
  state: "open" | "closed";
  closed_at: number | null;
};

export type Schema = {
  accounts: AccountTable;
  tokens: TokenTable;
  spent_challenges: ChallengeTable;
  admissions: AdmissionTable;
  trail: TrailTable;
  workers: WorkerTable;
  worker_versions: WorkerVersionTable;
  worker_deployments: WorkerDeploymentTable;
  asset_files: AssetFileTable;
  asset_sessions: AssetSessionTable;
  d1_databases: D1DatabaseTable;
  person: PersonTable;
  person_session: PersonSessionTable;
  person_credential: PersonCredentialTable;
  person_passkeys: PersonPasskeyTable;
  person_invitations: PersonInvitationTable;
  kv_namespaces: KvNamespaceTable;
  object_namespaces: ObjectNamespaceTable;
  worker_crons: WorkerCronTable;
  wakes: WakeTable;
  secret_stores: SecretStoreTable;
  secrets: SecretTable;
  bans: BanTable;
  operator_keys: OperatorKeyTable;
  reports: ReportTable;
};
