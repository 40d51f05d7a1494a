// TLS is made by the egress, for the name that the Worker wrote and not for the address behind it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { createServer } from "node:https";
import { connect, type AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { newAccountId } from "../../../src/kernel/ids.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { Budgets } from "../../../src/host/budgets/budgets.ts";
import { createEgress } from "../../../src/host/egress/egress.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { testClock } from "../../fixtures/databases.ts";
import { LIMITS } from "../../fixtures/limits.ts";

const NEVER = (): never => {
  throw new Error("nothing goes inside here");
};

test("a certificate counts for the name that was asked for, and only when it is trusted", async (t) => {
  await using directory = await temporaryDirectory("egress");
  const [key, cert] = [join(directory.path, "key.pem"), join(directory.path, "cert.pem")];
  const subject = ["-subj", "/CN=secure.example", "-addext", "subjectAltName=DNS:secure.example"];
  try {
    const kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
    execFileSync("openssl", [...kind, ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
  } catch {
    t.skip("needs openssl: apt-get install openssl");
    return;
  }
  const names: string[] = [];
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (incoming, outgoing) => {
    names.push(incoming.headers.host ?? "");
    outgoing.end("secret");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const options = {
    inner: { request: NEVER, upgrade: NEVER },
    edgeDomain: "mayfly.localhost",
    log: createLog("test", "silent"),
    consoleHost: "console.example",
    own: { deny: [], names: [], proxies: [] },
    limitsOf: () => undefined,
    budgets: new Budgets(testClock()),
    refusals: { note: NEVER },
    journal: { notice: NEVER },
    lookup: async () => ["93.184.215.14"],
    connect: () => connect((server.address() as AddressInfo).port, "127.0.0.1"),
  };
  const ask = async (socketPath: string, host: string): Promise<{ status: number; body: string }> => {
    const outgoing = request({ socketPath, path: `https://${host}/`, setHost: false, agent: false }).end();
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    return { status: response.statusCode ?? 0, body: await text(response) };
  };
  const [trusting, doubting] = [join(directory.path, "a.sock"), join(directory.path, "b.sock")];
  {
    await using _a = await createEgress({ ...options, ca: readFileSync(cert, "utf8") }).open(newAccountId(), trusting, {
      ...LIMITS,
      maxInnerRequests: 1,
    });
    await using _b = await createEgress(options).open(newAccountId(), doubting, { ...LIMITS, maxInnerRequests: 1 });
    assert.deepEqual(await ask(trusting, "secure.example"), { status: 200, body: "secret" });
    assert.deepEqual(names, ["secure.example"]);
    assert.equal((await ask(trusting, "other.example")).status, 526);
    assert.equal((await ask(doubting, "secure.example")).status, 526);
    assert.deepEqual(names, ["secure.example"]);
  }
  server.close();
  server.closeAllConnections();
});
