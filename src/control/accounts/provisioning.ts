// POST /provisioning/previews: a solved challenge becomes an account with a token and a claim link. The sealing
// key is durable before the row that needs it; a row that is not committed takes its key with it.
import { z } from "zod";
import { networkPrefix } from "../../kernel/address-prefix.ts";
import { iso } from "../../kernel/clock.ts";
import { PlatformError } from "../../kernel/errors.ts";
import { newAccountId, newId, newSecret } from "../../kernel/ids.ts";
import type { Admission } from "../admission/admission.ts";
import { check, readJson } from "../http/body.ts";
import { success } from "../http/envelope.ts";
import { BodyMemory } from "../http/memory.ts";
import { publicRoute, type Route } from "../http/routes.ts";
import type { Keys } from "../keys/keys.ts";
import { AGENT_ACTIONS } from "../permissions/actions.ts";
import { onWholeAccount } from "../permissions/authorize.ts";
import type { Store } from "../store/store.ts";
import type { Tokens } from "../tokens/tokens.ts";
import type { Trail } from "../trail/trail.ts";
import { lifetimeSeconds, type LifetimeBounds } from "./lifecycle.ts";
import { accountName } from "./names.ts";
import * as transitions from "./transitions.ts";

const TASK_MAX_BYTES = 2048;
/** Of a body besides its checkpoints, escapes included. Anybody may send one, so no more is ever held of it. */
const REST_MAX_BYTES = 65_536;
/** Of a body that nobody counts: as much as answers at a low price need. */
const USUAL_BYTES = 65_536;
/** What bodies hold beyond that, in all and of one network: while dear answers are taken, anybody may send megabytes. */
const DEAR_BYTES = 268_435_456;
const DEAR_SHARE_BYTES = 16_777_216;

const request = z.object({
  termsOfService: z.string().max(2000).optional(),
  privacyPolicy: z.string().max(2000).optional(),
  acceptTermsOfService: z.string().optional(),
  challengeToken: z.string().min(1).max(4096),
  solution: z.object({ checkpoints: z.string().min(1) }),
  eventCode: z.string().max(200).optional(),
});

/** What an agent says of itself and its task; plain text, believed by no one. */
const task = z.strictObject({ title: z.string().max(500).optional(), agent: z.string().max(200).optional() });
export type Task = z.infer<typeof task>;

/** The `Mayfly-Task` header. @throws PlatformError invalid_input */
export function readTask(header: string | null): Task | null {
  if (header === null) return null;
  if (Buffer.byteLength(header, "latin1") > TASK_MAX_BYTES) {
    throw new PlatformError("invalid_input", { message: `Mayfly-Task: longer than ${TASK_MAX_BYTES} bytes.` });
  }
  let value: unknown;
  try {
    // Header bytes arrive as Latin-1; what was sent is UTF-8.
    value = JSON.parse(Buffer.from(header, "latin1").toString("utf8"));
  } catch (cause) {
    throw new PlatformError("invalid_input", { message: 'Mayfly-Task: not JSON; send {"title": "…", "agent": "…"}.', cause });
  }
  return check(task, value, "Mayfly-Task");
}

export type ProvisioningOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  readonly tokens: Tokens;
  readonly admission: Pick<Admission, "admit" | "record" | "checkpointCharacters">;
  readonly lifetime: LifetimeBounds;
  readonly claimUrl: (secret: string) => string;
  readonly urlOf: (label: string) => string;
};

export function provisioningRoutes(options: ProvisioningOptions): Route[] {
  const { admission, lifetime } = options;
  const memory = new BodyMemory(DEAR_BYTES, DEAR_SHARE_BYTES, "network");
  return [
    publicRoute("POST", "/provisioning/previews", "paid for with proof of work", async (call) => {
      const seconds = lifetimeSeconds(call.request.headers.get("mayfly-lifetime"), lifetime);
      const told = readTask(call.request.headers.get("mayfly-task"));
      using room = memory.open(networkPrefix(call.address), USUAL_BYTES);
      const body = await readJson(call.request, request, admission.checkpointCharacters(call.address) + REST_MAX_BYTES, room);
      if (body.acceptTermsOfService !== "yes") {
        throw new PlatformError("terms_not_accepted", { message: "acceptTermsOfService: the terms were not accepted." });
      }
      if (body.eventCode !== undefined) throw new PlatformError("event_code_unknown", { message: "eventCode: there is no such event." });
      await admission.admit(call.address, { challengeToken: body.challengeToken, checkpoints: body.solution.checkpoints });
      return success(await provision(options, { address: call.address, seconds, task: told }));
    }),
  ];
}

type Asked = { readonly address: string; readonly seconds: number; readonly task: Task | null };

/** Makes the account in one transaction. @throws PlatformError too_many_accounts, machine_full */
export async function provision(options: ProvisioningOptions, asked: Asked) {
  const { store, keys, trail, tokens, admission, urlOf } = options;
  const id = newAccountId();
  const taskId = newId();
  const claimSecret = newSecret("mfc");
  const createdAt = store.clock.now();
  const expiresAt = createdAt + asked.seconds * 1000;
  keys.createAccountKey(id);
  try {
    return await store.transaction(async (tx) => {
      await admission.record(tx, asked.address);
      const account = await transitions.create(tx, {
        id,
        createdAt,
        expiresAt,
        taskId,
        taskSealed: asked.task && keys.sealFor(id, "task", JSON.stringify(asked.task)),
        claimHash: keys.lookupHash(claimSecret),
      });
      const token = await tokens.issue(tx, {
        account: id,
        person: null,
        name: "agent",
        permissions: onWholeAccount(AGENT_ACTIONS),
        task: taskId,
        epoch: account.auth_epoch,
        expiresAtMs: expiresAt,
      });
      await trail.append(tx, {
        at: createdAt,
        account: id,
        task: taskId,
        actors: ["agent"],
        token: token.id,
        action: "account:create",
        resource: `account/${id}`,
        outcome: "done",
        operatorText: JSON.stringify({ address: asked.address }),
      });
      return {
        account: {
          id,
          name: accountName(account, urlOf),
          type: "standard",
          apiToken: token.secret,
          tokenId: token.id,
          expiresAt: iso(expiresAt),
        },
        claim: { url: options.claimUrl(claimSecret), expiresAt: iso(expiresAt) },
      };
    });
  } catch (error) {
    keys.destroyAccountKey(id);
    throw error;
  }
}
