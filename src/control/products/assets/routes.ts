// Two routes: the session, for who may write the Worker's assets, and the upload, for who holds the session's token.
import { PlatformError } from "../../../kernel/errors.ts";
import { readJson } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { readForm } from "../../http/form.ts";
import { uploadMemory, type BodyMemory } from "../../http/memory.ts";
import { accountRoute, capabilityRoute, type Call, type Route } from "../../http/routes.ts";
import type { ProductContext } from "../product.ts";
import { invalidManifest, sessionBody, sessionOnWire, toManifest, uploadOnWire } from "./contract.ts";
import { bodyMaxBytes, BUCKET_FILES, MANIFEST_MAX_BYTES, UPLOADS_BYTES } from "./quota.ts";
import type { Sessions } from "./sessions.ts";
import type { UploadTokens } from "./tokens.ts";

const refusals = {
  malformed: (message: string) => new PlatformError("asset_mismatch", { message }),
  tooLarge: (message: string) => new PlatformError("body_too_large", { message, next: "Send one bucket of the session a request." }),
};

type Parts = { readonly context: ProductContext; readonly sessions: Sessions; readonly tokens: UploadTokens; readonly memory: BodyMemory };

async function upload({ context, sessions, tokens, memory }: Parts, call: Call): Promise<Response> {
  const [, token] = /^Bearer +(\S+) *$/i.exec(call.request.headers.get("authorization") ?? "") ?? [];
  if (token === undefined) {
    throw new PlatformError("asset_session_invalid", { message: "Authorization: must carry the token that the upload session answered." });
  }
  const capability = await tokens.verify("assets-upload", token);
  // Of another account than the path names, the token opens nothing and says nothing.
  if (capability.account !== call.params["account"]) {
    throw new PlatformError("asset_session_invalid", { message: "The token is of another account." });
  }
  // Before a byte of the body is read: does the account live, at the epoch of the token, and does the one that opened the session?
  await context.store.inAccount(capability, () => Promise.resolve());
  if (call.url.searchParams.get("base64") !== "true") {
    throw new PlatformError("invalid_input", { message: "base64: must be true.", next: "Send the files in base64 and ?base64=true." });
  }
  const { fileMaxBytes } = await sessions.limitsOf(capability.account);
  using room = memory.open(capability.account);
  const limits = { room, maxBytes: bodyMaxBytes(fileMaxBytes), maxParts: BUCKET_FILES };
  const completed = await sessions.receive(capability, await readForm(call.request, limits, refusals));
  return success(uploadOnWire(completed), { status: completed === null ? 202 : 201 });
}

/** @param context of the product */
export function assetRoutes(context: ProductContext, sessions: Sessions, tokens: UploadTokens): Route[] {
  const memory = uploadMemory(UPLOADS_BYTES, bodyMaxBytes(context.quota.assetMaxBytes));
  return [
    accountRoute(
      "POST",
      "/accounts/:account/workers/scripts/:script/assets-upload-session",
      { action: "assets:write", product: "assets", param: "script" },
      async (call) => {
        const script = call.params["script"] ?? "";
        if (Buffer.byteLength(script) > 255)
          throw invalidManifest("name: the Worker's name is longer than 255 bytes.", "Choose another name.");
        using room = memory.open(call.account);
        const { manifest } = await readJson(call.request, sessionBody, MANIFEST_MAX_BYTES, room);
        const { token, buckets } = await sessions.open(call.principal, script, toManifest(manifest));
        return success(sessionOnWire(token, buckets));
      },
    ),
    capabilityRoute("POST", "/accounts/:account/workers/assets/upload", "the token of an upload session", (call) =>
      upload({ context, sessions, tokens, memory }, call),
    ),
  ];
}
