// The process that runs strangers' code: reads its settings, opens the door to control, lets callers in. Says one
// message to its parent when it is ready and ends when the parent is gone. It never opens the database.
import { connectControl, serveHost } from "../capsule/link.ts";
import { CONTROL_ONLY, prepareDirectories, readHostConfig } from "../config.ts";
import { systemClock } from "../kernel/clock.ts";
import { createLog } from "../kernel/log.ts";
import { endWith, failStart } from "../kernel/process-life.ts";
import { openWing } from "./wing.ts";

/** What control keeps to itself must not even be within reach here. */
function refuseControlSettings(): void {
  const named = CONTROL_ONLY.filter((name) => process.env[name] !== undefined);
  if (named.length > 0) throw new Error(`The host never opens the database: take ${named.join(" and ")} out of its environment.`);
}

async function main(): Promise<void> {
  refuseControlSettings();
  const config = readHostConfig(process.env);
  prepareDirectories(config);
  const log = createLog("host", config.logLevel);
  const stack = new AsyncDisposableStack();
  const control = stack.use(connectControl(config.controlSocket));
  const wing = stack.use(await openWing({ ...config, control, clock: systemClock, log }));
  const door = await serveHost(config.hostSocket, wing.capsuleHost, (err) => log.error({ err }, "a call of control failed"));
  stack.defer(() => {
    door.close();
    door.closeAllConnections();
  });

  endWith(stack, log);
  process.send?.({ ready: true, rung: wing.rung, missing: wing.missing, edgePort: wing.edgePort });
}

try {
  await main();
} catch (error) {
  failStart(error, [Error]);
}
