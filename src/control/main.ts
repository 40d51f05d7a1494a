// The deciding process: reads the settings, opens the door to host, listens. Says one message to its parent
// when it is ready and ends when the parent is gone.
import { connectHost, serveControl } from "../capsule/link.ts";
import { SettingError, prepareDirectories, readControlConfig } from "../config.ts";
import { systemClock } from "../kernel/clock.ts";
import { createLog } from "../kernel/log.ts";
import { endWith, failStart } from "../kernel/process-life.ts";
import { listen } from "./http/listen.ts";
import { WrongMasterKey } from "./keys/keys.ts";
import { openWing } from "./wing.ts";

async function main(): Promise<void> {
  const config = readControlConfig(process.env);
  prepareDirectories(config);
  const log = createLog("control", config.logLevel);
  const stack = new AsyncDisposableStack();
  const host = stack.use(connectHost(config.hostSocket));
  const wing = stack.use(await openWing({ ...config, clock: systemClock, host, log }));
  const door = await serveControl(config.controlSocket, wing.capsuleControl, (err) => log.error({ err }, "a call of host failed"));
  stack.defer(() => {
    door.close();
    door.closeAllConnections();
  });
  stack.use(
    await listen(
      wing.app,
      {
        port: config.port,
        hostname: config.bind,
        trustedProxies: config.trustedProxies,
        guard: { connectionsPerAddress: config.connectionsPerAddress },
      },
      wing.upgrades,
    ),
  );

  endWith(stack, log);
  process.send?.({ ready: true, url: config.url.origin, operatorLink: await wing.people.operatorLink() });
}

try {
  await main();
} catch (error) {
  failStart(error, [SettingError, WrongMasterKey]);
}
