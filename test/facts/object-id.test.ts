// Where a namespace's objects lie on disk, and that their ids follow from their names: the keeper finds databases by that.
import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { objectId } from "../../src/capsule/object-id.ts";
import { get, internet, serve, shortDirectory, worker } from "../fixtures/workerd.ts";

const SOURCE = `import { DurableObject } from "cloudflare:workers";
  export class Box extends DurableObject { keep() { this.ctx.storage.kv.put("a", 1); } }
  export default { async fetch(request, env) {
    const id = env.BOX.idFromName(decodeURIComponent(new URL(request.url).pathname.slice(1)));
    await env.BOX.get(id).keep();
    return new Response(id.toString());
  } };`;

test("an object's id follows from its namespace's key and its name, and its file bears the id", async (t) => {
  const directory = await shortDirectory(t);
  const disk = join(directory, "disk");
  mkdirSync(disk);
  const socketPath = join(directory, "s");
  const key = "0123456789abcdef0123456789abcdef";
  await serve(t, {
    services: [
      internet,
      { name: "disk", disk: { path: disk, writable: true, allowDotfiles: false } },
      worker("main", SOURCE, {
        durableObjectNamespaces: [{ className: "Box", uniqueKey: key, enableSql: true }],
        durableObjectStorage: { localDisk: "disk" },
        bindings: [{ name: "BOX", durableObjectNamespace: { className: "Box" } }],
      }),
    ],
    sockets: [{ name: "main", address: `unix:${socketPath}`, service: { name: "main" }, http: {} }],
  });
  for (const name of ["a", "", "grün und 🌿", "0".repeat(300), "quote'\"\n"]) {
    const { body } = await get(socketPath, `/${encodeURIComponent(name)}`);
    assert.equal(body, objectId(key, name));
    assert.ok(existsSync(join(disk, key, `${body}.sqlite`)), name);
  }
});
