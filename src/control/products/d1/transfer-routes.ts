// SQL text into a database and out of it. The text itself goes over addresses that hold a signed capability, since clients
// send no token there: one purpose, one database, a short life, and nothing once its account, epoch or token has ended.
import { Readable } from "node:stream";
import { z } from "zod";
import { PlatformError } from "../../../kernel/errors.ts";
import { ACCOUNT_ID, type AccountId } from "../../../kernel/ids.ts";
import { bodyStream } from "../../http/body.ts";
import { success } from "../../http/envelope.ts";
import { accountRoute, capabilityRoute, type AccountCall, type Call, type Route } from "../../http/routes.ts";
import { openCapabilities, type Capabilities } from "../../keys/capabilities.ts";
import type { ProductContext } from "../product.ts";
import { exportBody, exportOnWire, importBody, importOnWire, readBody } from "./contract.ts";
import { ONE, presentDatabase, reachableDatabase, READ, WRITE } from "./database-routes.ts";
import type { Imports } from "./imports.ts";
import type { DatabaseKeeper } from "./keeper.ts";
import { DOWNLOAD_SECONDS, importMaxBytes } from "./quota.ts";
import type { Spool } from "./spool.ts";

const BODY_MAX_BYTES = 262_144;
const UPLOAD = `${ONE}/import/file` as const;
const DOWNLOAD = `${ONE}/export/file` as const;

const holder = {
  account: z
    .string()
    .regex(ACCOUNT_ID)
    .transform((id) => id as AccountId),
  epoch: z.number().int(),
  /** Id of the token that asked. */
  token: z.string(),
  database: z.string(),
};
const uploadClaims = z.object({ ...holder, upload: z.string() });
const downloadClaims = z.object({ ...holder, noSchema: z.boolean(), noData: z.boolean(), tables: z.array(z.string()) });
type Held = { readonly account: AccountId; readonly database: string };

type Parts = {
  readonly context: ProductContext;
  readonly keeper: DatabaseKeeper;
  readonly spool: Spool;
  readonly imports: Imports;
  readonly uploads: Capabilities<z.infer<typeof uploadClaims>>;
  readonly downloads: Capabilities<z.infer<typeof downloadClaims>>;
};

const holds = ({ principal, account }: AccountCall, database: string) => ({
  account,
  epoch: principal.epoch,
  token: principal.token,
  database,
});

function addressOf(context: ProductContext, path: string, { account, database }: Held, capability: string): string {
  const address = new URL(`/client/v4${path.replace(":account", account).replace(":database", database)}`, context.url);
  address.searchParams.set("capability", capability);
  return address.href;
}

/** The capability in the address; one of another account or database than the path opens nothing. @throws PlatformError transfer_invalid */
async function present<C extends Held>(capabilities: Capabilities<C>, { url, params }: Call): Promise<C> {
  const held = await capabilities.verify(url.searchParams.get("capability") ?? "");
  if (held && held.account === params["account"] && held.database === params["database"]) return held;
  throw new PlatformError("transfer_invalid", { message: "This is not the address of a transfer that may (still) be made." });
}

async function importAsked({ context, keeper, spool, imports, uploads }: Parts, call: AccountCall): Promise<Response> {
  const { account, principal } = call;
  const { id } = await reachableDatabase(context, call);
  const asked = await readBody(call.request, importBody, BODY_MAX_BYTES);
  if (asked.action === "poll") return success(importOnWire(await imports.follow(account, id, asked.current_bookmark)));
  if (asked.action === "init") {
    const upload = spool.announce(account, id, asked.etag);
    const capability = await uploads.sign({ ...holds(call, id), upload: upload.id }, upload.expiresAtMs);
    return success({ success: true, filename: upload.id, upload_url: addressOf(context, UPLOAD, { account, database: id }, capability) });
  }
  const progress = await imports.start(account, id, asked.filename, () => {
    const file = spool.find(asked.filename, id, asked.etag);
    return {
      begin: async () => (await keeper.bookmark(account, id)).bookmark,
      run: () =>
        context.outside(principal, "d1:import", `d1/${id}`, async () => {
          const imported = await keeper.import(account, id, context.quota.d1Bytes, file.text());
          file.drop();
          return { imported, bookmark: (await keeper.bookmark(account, id)).bookmark };
        }),
    };
  });
  return success(importOnWire(progress));
}

/** Exactly 200, and the MD5 that was announced: clients compare it. */
async function upload({ context, spool, uploads }: Parts, call: Call): Promise<Response> {
  const held = await present(uploads, call);
  // Before a byte of the body is read.
  await context.store.inAccount(held, (tx) => presentDatabase(tx, held.account, held.database));
  const maxBytes = importMaxBytes(context.quota);
  if (Number(call.request.headers.get("content-length") ?? 0) > maxBytes)
    throw new PlatformError("body_too_large", { message: `The file is larger than ${maxBytes} bytes.` });
  const etag = await spool.receive(held.upload, bodyStream(call.request), maxBytes);
  return new Response(null, { status: 200, headers: { etag: `"${etag}"`, "cache-control": "no-store" } });
}

/** Nothing is written in advance: the address streams what the database holds when it is opened. */
async function exportAsked({ context, keeper, downloads }: Parts, call: AccountCall): Promise<Response> {
  const { account } = call;
  const { id, name } = await reachableDatabase(context, call);
  const { dump_options } = await readBody(call.request, exportBody, BODY_MAX_BYTES);
  const options = {
    noSchema: dump_options?.no_schema ?? false,
    noData: dump_options?.no_data ?? false,
    tables: dump_options?.tables ?? [],
  };
  const { bookmark } = await keeper.bookmark(account, id);
  // What cannot be exported is told here: of an address clients report the status alone.
  (await keeper.export(account, id, { ...options, noSchema: false, noData: true })).destroy();
  const expiresAtMs = context.store.clock.now() + DOWNLOAD_SECONDS * 1000;
  const capability = await downloads.sign({ ...holds(call, id), ...options }, expiresAtMs);
  const address = addressOf(context, DOWNLOAD, { account, database: id }, capability);
  return success(exportOnWire(`${name}.sql`, address, bookmark));
}

async function download({ context, keeper, downloads }: Parts, call: Call): Promise<Response> {
  const held = await present(downloads, call);
  const { account, database } = held;
  await context.store.inAccount(held, async (tx, { task_id }) => {
    await presentDatabase(tx, account, database);
    const at = context.store.clock.now();
    const entry = { at, account, task: task_id, actors: [], token: held.token, outcome: "done" } as const;
    await context.trail.append(tx, { ...entry, action: "d1:export", resource: `d1/${database}` });
  });
  const text = await keeper.export(account, database, held);
  // A text that breaks off must not look like a whole one.
  text.once("error", call.hangUp);
  const headers = {
    "content-type": "application/sql",
    "content-disposition": `attachment; filename="${database}.sql"`,
    "cache-control": "no-store",
  };
  return new Response(Readable.toWeb(text) as ReadableStream<Uint8Array>, { headers });
}

export function transferRoutes(context: ProductContext, keeper: DatabaseKeeper, spool: Spool, imports: Imports): Route[] {
  const key = context.keys.signing("d1-transfer");
  const { clock } = context.store;
  const uploads = openCapabilities(key, clock, "d1-upload", uploadClaims);
  const downloads = openCapabilities(key, clock, "d1-download", downloadClaims);
  const parts: Parts = { context, keeper, spool, imports, uploads, downloads };
  return [
    accountRoute("POST", `${ONE}/import`, WRITE, (call) => importAsked(parts, call)),
    capabilityRoute("PUT", UPLOAD, "the signed address that an import answered", (call) => upload(parts, call)),
    accountRoute("POST", `${ONE}/export`, READ, (call) => exportAsked(parts, call)),
    capabilityRoute("GET", DOWNLOAD, "the signed address that an export answered", (call) => download(parts, call)),
  ];
}
