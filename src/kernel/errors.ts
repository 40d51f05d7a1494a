// The closed list of everything that can be refused or fail, and what the caller can do about it.
// `message` reaches the caller and never holds internal detail; `detail` and `cause` go to the log only.

type Row = {
  /** HTTP status. */
  readonly status: 400 | 401 | 403 | 404 | 405 | 408 | 409 | 410 | 411 | 412 | 413 | 415 | 421 | 426 | 429 | 500 | 503;
  /** The number in `errors[].code`: Cloudflare's where a client acts on it, 71xxx of our own elsewhere. */
  readonly number: number;
  /** Whether the same request can succeed later without change. */
  readonly retry: boolean;
  /** The next action, unless the thrower knows a better one. */
  readonly next: string;
};

const row = (status: Row["status"], number: number, retry: boolean, next: string): Row => ({ status, number, retry, next });

export const ERRORS = {
  // the request itself
  invalid_input: row(400, 71400, false, "Correct the named field and send the request again."),
  body_too_large: row(413, 71413, false, "Send a smaller body."),
  unsupported_media_type: row(415, 71415, false, "Send the body in the named media type."),
  route_not_found: row(404, 7003, false, "Check the path against docs/api.md; products that are not there yet are listed in README.md."),
  method_not_allowed: row(405, 71405, false, "Use one of the methods named in the Allow header."),
  cross_site: row(403, 71421, false, "Open the page from its own address and send the form from there."),
  wrong_host: row(421, 71422, false, "Use the address that the server printed when it started."),
  // who is asking
  unauthenticated: row(401, 10000, false, "Send `Authorization: Bearer <token>`. Without a token, run `wrangler deploy --temporary`."),
  token_refused: row(
    401,
    10000,
    false,
    "The token is unknown, was ended, or its account is gone. Run `wrangler logout`, then `wrangler deploy --temporary` for a new account.",
  ),
  forbidden: row(403, 9109, false, "Use a token that holds the named permission."),
  no_user: row(403, 9109, false, "Account tokens belong to no user; `GET /accounts` names the account."),
  account_suspended: row(
    403,
    71403,
    false,
    "Read the reason with `GET /accounts/{id}`, mend its cause and deploy again, or ask the operator.",
  ),
  // admission
  challenge_invalid: row(400, 71410, false, "Ask for a new challenge at POST /provisioning/previews/challenge and solve that one."),
  challenge_expired: row(400, 71411, false, "Ask for a new challenge and answer it before it expires."),
  challenge_spent: row(409, 71412, false, "A challenge works once. Ask for a new one."),
  solution_wrong: row(400, 71414, false, "Ask for a new challenge; every checkpoint of the chain is verified."),
  too_many_accounts: row(429, 71429, true, "Wait as long as Retry-After says."),
  verifier_busy: row(
    429,
    71430,
    true,
    "Wait as long as Retry-After says, then send the same answer again; where that is refused, ask for a new challenge.",
  ),
  machine_full: row(503, 71480, true, "Wait as long as Retry-After says: room comes back as accounts end."),
  challenge_outpriced: row(409, 71481, false, "Ask for a new challenge, solve it at once and answer it at once."),
  too_many_challenges: row(429, 71482, true, "Wait as long as Retry-After says; one challenge makes one account."),
  terms_not_accepted: row(400, 71416, false, 'Send acceptTermsOfService: "yes".'),
  event_code_unknown: row(404, 1036, false, "This installation has no event codes; leave --event-code out."),
  // resources
  account_not_found: row(404, 7003, false, "Check the account id; `GET /accounts` lists what the token can see."),
  account_gone: row(410, 71417, false, "Make a new account with `wrangler deploy --temporary`."),
  worker_not_found: row(404, 10007, false, "Deploy the Worker first, or check its name."),
  version_not_found: row(404, 10222, false, "List the Worker's versions and use one of their ids."),
  deployment_not_found: row(404, 71450, false, "List the Worker's deployments and use one of their ids."),
  latest_not_deployed: row(409, 10215, false, "Deploy the latest version first, or use `wrangler versions secret put`."),
  secrets_changed: row(
    409,
    10220,
    false,
    "Send the request with ?force=true to deploy the version with the secrets that it was made with.",
  ),
  subdomain_taken: row(409, 10031, false, "Use the account's own subdomain: GET /accounts/{id}/workers/subdomain names it."),
  secret_not_found: row(404, 10056, false, "List the Worker's secrets and use one of their names."),
  invalid_upload: row(400, 10021, false, "Correct what is named and deploy again."),
  // as invalid_upload, where clients would take a word of its text for the start's limits
  script_failed: row(400, 71425, false, "Correct what is named and deploy again."),
  too_many_uploads: row(429, 71427, true, "Wait for those that are under way, then deploy again."),
  no_handlers: row(
    400,
    10068,
    false,
    "Export default an object with a fetch() handler, or a class that extends WorkerEntrypoint, and deploy again.",
  ),
  upload_too_large: row(413, 10027, false, "Make the Worker smaller: minify, leave out source maps, move files to static assets."),
  invalid_inherit: row(400, 10057, false, "Give the binding a value, or remove `inherit`."),
  precondition_failed: row(409, 71409, false, "Read the current state and repeat the change on top of it."),
  quota_exceeded: row(400, 71418, false, "Delete what you no longer need, or have a person claim the account."),
  product_unavailable: row(400, 71419, false, "See the table of products in README.md for what works here."),
  asset_session_invalid: row(401, 71423, false, "Start a new upload session and upload the files it asks for."),
  asset_mismatch: row(400, 71424, false, "Upload exactly the files that the session asked for."),
  // D1
  database_not_found: row(404, 7404, false, "`GET /accounts/{id}/d1/database` lists the account's databases."),
  database_exists: row(400, 7502, false, "Use that database, or choose another name."),
  database_limit: row(400, 7406, false, "Delete a database with `wrangler d1 delete`, or have a person claim the account."),
  database_input: row(400, 7400, false, "Correct the named field and send the request again."),
  bookmark_not_found: row(404, 71470, false, "`GET …/time_travel/bookmark` takes a bookmark of what the database holds now."),
  import_not_found: row(
    404,
    71471,
    false,
    "Look whether the rows are there: a file is imported as a whole or not at all. If not, import it again.",
  ),
  import_running: row(409, 71472, true, "Wait until it is done, then import the next."),
  import_mismatch: row(400, 71473, false, "Send the MD5 of the very file as etag with the action init, then upload that file."),
  transfer_invalid: row(
    401,
    71474,
    false,
    "Ask for a new import or export; the address that it answers works for a while, for the token that asked.",
  ),
  query_failed: row(400, 7500, false, "Nothing of the request was kept. Correct the statement and send it again."),
  // classes of Durable Objects
  migration_out_of_step: row(
    412,
    10079,
    false,
    "Read script.migration_tag with GET workers/services/{name} and send the steps that come after it.",
  ),
  migration_not_applicable: row(
    400,
    10074,
    false,
    "Correct the step and deploy again; GET workers/durable_objects/namespaces lists what there is.",
  ),
  migration_not_deployed: row(400, 10211, false, "Apply it with `wrangler deploy`; then versions can be uploaded."),
  class_not_exported: row(400, 10070, false, "Export the class, extending DurableObject, from the entry module and deploy again."),
  class_in_use: row(
    400,
    10064,
    false,
    "Export the class again, or rename or delete it with a migration (renamed_classes, deleted_classes).",
  ),
  class_not_bindable: row(400, 10061, false, "Add the class with a migration (new_sqlite_classes), or correct the binding."),
  object_namespace_not_found: row(404, 71451, false, "List them with GET workers/durable_objects/namespaces and use one of their ids."),
  // logs and tails
  upgrade_required: row(426, 71426, false, "Open it as a WebSocket with the subprotocol trace-v1, as `wrangler tail` does."),
  tail_invalid: row(401, 71441, false, "Open a new tail with `wrangler tail`, and connect within a minute."),
  tail_not_found: row(404, 71442, false, "List the Worker's tails; one that has ended is not there any more."),
  too_many_streams: row(429, 71440, true, "Close one of those that are open, then try again."),
  too_many_questions: row(429, 71446, true, "Wait for the answer to one of those that are asked already, then ask again."),
  // KV
  kv_key_not_found: row(404, 10009, false, "List the namespace's keys; one that has expired is not there any more."),
  kv_namespace_not_found: row(
    404,
    10013,
    false,
    "List the account's namespaces with `wrangler kv namespace list` and use one of their ids.",
  ),
  kv_title_taken: row(
    400,
    10014,
    false,
    "Choose another title, or use the namespace that is there: `wrangler kv namespace list` names its id.",
  ),
  kv_binding_unknown: row(
    400,
    10041,
    false,
    "List the account's namespaces with `wrangler kv namespace list`, or remove the id from the configuration: a namespace is made then.",
  ),
  // secrets stores
  secret_store_not_found: row(404, 71447, false, "List the account's stores with GET secrets_store/stores and use one of their ids."),
  store_secret_not_found: row(404, 71448, false, "List the store's secrets and use one of their ids."),
  store_name_taken: row(400, 71449, false, "Choose another name, or use the one that is there."),
  // the claim
  claim_unknown: row(404, 71431, false, "Open the link exactly as the agent printed it."),
  claim_taken: row(409, 71432, false, "The account has an owner. If that is you, sign in; if not, ask whoever sent the link."),
  claim_late: row(410, 71433, false, "Ask the agent to deploy again; it gets a new account and a new link."),
  claim_limit: row(429, 71434, true, "Wait until tomorrow, or ask the operator for more claims a day."),
  sign_up_closed: row(403, 71435, false, "Ask the operator for an invitation."),
  sign_in_failed: row(401, 71436, false, "Check the e-mail address and the password."),
  sign_up_failed: row(400, 71437, false, "Sign in instead, or use another e-mail address and a password of at least 8 characters."),
  too_many_tries: row(429, 71438, true, "Wait as long as it says, then try again."),
  invitation_unknown: row(404, 71439, false, "Ask the operator for a new link; each works once."),
  passkey_refused: row(400, 71443, false, "Try once more; if it goes on, add the passkey anew."),
  last_way_in: row(409, 71444, false, "Add another passkey first."),
  token_limit: row(409, 71445, false, "End a token that nobody uses any more, then make this one."),
  // the operator
  address_banned: row(
    403,
    71487,
    false,
    "If that is a mistake, tell the operator of this installation, naming your address and the id in the answer's Cf-Ray header.",
  ),
  operator_key_refused: row(401, 71488, false, "Make another operator's key at /operations/keys."),
  operator_key_limit: row(409, 71489, false, "End an operator's key that nobody uses any more, then make this one."),
  ban_unconfirmed: row(409, 71490, false, "If you mean it, send the same again with `confirm` set to the range as it is written here."),
  ban_not_found: row(404, 71491, false, "List the bans and use one of their ids."),
  // reports of visitors
  too_many_reports: row(429, 71494, true, "Try again tomorrow, or write to the operator of this installation."),
  report_not_found: row(404, 71495, false, "List the reports; one older than ninety days is not there any more."),
  // crons
  invalid_cron: row(
    400,
    10100,
    false,
    "Write five fields in UTC: minute, hour, day of month, month, day of week from 1 (Sunday) to 7; docs/api.md has the dialect.",
  ),
  too_many_crons: row(400, 10072, false, "Remove some from triggers.crons, or delete a Worker that has some, and deploy again."),
  // secrets in addresses
  token_in_url: row(
    400,
    71484,
    false,
    "Send tokens as `Authorization: Bearer <token>` only. For another one run `wrangler logout`, then `wrangler deploy --temporary`, or ask the account's owner.",
  ),
  link_in_url: row(400, 71485, false, "Open the link exactly as it was printed: its secret comes after the `#`, which no server sees."),
  // this machine
  capsule_failed: row(503, 71503, true, "Nothing was lost. Try again in a moment; if it goes on, tell the operator."),
  over_cap: row(
    429,
    71492,
    true,
    "Wait as long as Retry-After says; what is full frees only by what you delete. `GET /accounts/{id}/limits` tells every cap and its use.",
  ),
  store_failed: row(503, 71504, true, "Nothing that was acknowledged is lost. Try again in a moment."),
  unexpected: row(500, 10013, false, "This is a bug. Tell the operator the id in the Cf-Ray header."),
} as const satisfies Record<string, Row>;

export type ErrorCode = keyof typeof ERRORS;

export type ErrorDetails = {
  /** What is wrong, naming the field; one sentence for the caller. */
  readonly message: string;
  /** The next action; the table's when absent. */
  readonly next?: string;
  /** Seconds until a retry can succeed; becomes Retry-After. */
  readonly retryAfterSeconds?: number;
  /** Further facts for the log. */
  readonly detail?: Record<string, unknown>;
  readonly cause?: unknown;
};

/** An expected refusal or failure. Anything else that is thrown is a bug and becomes `unexpected`. */
export class PlatformError extends Error {
  readonly code: ErrorCode;
  readonly next: string;
  readonly retryAfterSeconds: number | undefined;
  readonly detail: Record<string, unknown>;

  constructor(code: ErrorCode, details: ErrorDetails) {
    super(details.message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "PlatformError";
    this.code = code;
    this.next = details.next ?? ERRORS[code].next;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.detail = details.detail ?? {};
  }

  get status(): Row["status"] {
    return ERRORS[this.code].status;
  }

  get number(): number {
    return ERRORS[this.code].number;
  }

  get retry(): boolean {
    return ERRORS[this.code].retry;
  }
}
