// A database or disk that fails is told apart from a bug, whatever words the driver has for it.
import assert from "node:assert/strict";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import pg from "pg";
import { storeFailure } from "../../../src/control/store/failures.ts";
import { PlatformError } from "../../../src/kernel/errors.ts";

const failureOf = async (work: () => Promise<unknown>): Promise<unknown> => {
  try {
    await work();
  } catch (error) {
    return error;
  }
  return assert.fail("nothing failed");
};

const isStoreFailure = (error: unknown): boolean =>
  storeFailure(error) instanceof PlatformError && storeFailure(error)?.code === "store_failed";

test("a database that hangs up, answers nobody or is not there is a failure of the store", async () => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const at = { host: "127.0.0.1", port, user: "x", database: "x" };
  assert.ok(isStoreFailure(await failureOf(() => new pg.Client(at).connect())), "hangs up");
  await new Promise((resolve) => void server.close(resolve));
  assert.ok(isStoreFailure(await failureOf(() => new pg.Client(at).connect())), "is not there");

  const open: Socket[] = [];
  const silent = createServer((socket) => void open.push(socket.on("error", () => undefined)));
  await new Promise<void>((resolve) => void silent.listen(0, "127.0.0.1", resolve));
  const pool = new pg.Pool({ ...at, port: (silent.address() as AddressInfo).port, connectionTimeoutMillis: 50 });
  assert.ok(isStoreFailure(await failureOf(() => pool.connect())), "answers nobody");
  for (const socket of open) socket.destroy();
  await pool.end();
  await new Promise((resolve) => void silent.close(resolve));
});

test("a bug is no failure of the store", () => {
  assert.equal(storeFailure(new TypeError("x is not a function")), null);
  assert.equal(storeFailure(Object.assign(new Error("no such column: x"), { code: "ERR_SQLITE_ERROR", errcode: 1 })), null);
  assert.equal(storeFailure("text"), null);
});
