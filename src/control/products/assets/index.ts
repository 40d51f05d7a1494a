// Static assets: files uploaded once an account, held by the versions of its Workers.
import { PlatformError } from "../../../kernel/errors.ts";
import type { Product, ProductContext } from "../product.ts";
import { assetLimits } from "./quota.ts";
import { assetRoutes } from "./routes.ts";
import { createSessions } from "./sessions.ts";
import { uploadedFiles } from "./store.ts";
import { teardownAssets } from "./teardown.ts";
import { openUploadTokens } from "./tokens.ts";

export function createAssets(context: ProductContext): Product {
  const tokens = openUploadTokens(context.keys.signing("assets-upload"), context.store.clock);
  const sessions = createSessions(context, tokens);
  return {
    name: "assets",
    routes: assetRoutes(context, sessions, tokens),
    // A set of files belongs to a version of a Worker and has no name of its own.
    resolve: () => Promise.resolve(null),
    referencedBy: () => Promise.resolve([]),
    // Uploaded files stay for the session that named them, though no version holds them yet.
    compose: async (tx, account) => ({
      services: [],
      fronts: [],
      ingress: [],
      keep: { code: [], assets: [...(await uploadedFiles(tx, account.id)).values()].map((file) => file.hash) },
    }),
    limits: async (db, account) => {
      const { files, fileMaxBytes, filesHeld } = assetLimits(context.quota, account.state);
      return [
        { name: "assets.files_held", unit: "count", max: filesHeld, used: (await uploadedFiles(db, account.id)).size },
        { name: "assets.files", unit: "count", max: files, used: null },
        { name: "assets.file_bytes", unit: "bytes", max: fileMaxBytes, used: null },
      ];
    },
    teardown: teardownAssets,
    assets: {
      redeem: async (writer, script, token) => {
        const capability = await tokens.verify("assets-complete", token);
        if (capability.account === writer.account && capability.epoch === writer.epoch && capability.script === script) {
          return sessions.complete(capability);
        }
        throw new PlatformError("asset_session_invalid", { message: "metadata.assets.jwt: is of another Worker or account." });
      },
    },
  };
}
