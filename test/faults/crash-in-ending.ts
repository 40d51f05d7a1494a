// A control process that dies by SIGKILL, and takes its host along, at one step of an account's ending.
// Arguments: the step. The environment is an installation's. Run by ending.test.ts.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { connectHost } from "../../src/capsule/link.ts";
import type { CapsuleHost } from "../../src/capsule/messages.ts";
import { prepareDirectories, readControlConfig } from "../../src/config.ts";
import { openWing } from "../../src/control/wing.ts";
import { systemClock } from "../../src/kernel/clock.ts";
import { createLog } from "../../src/kernel/log.ts";

const step = process.argv[2];
const config = readControlConfig(process.env);
prepareDirectories(config);
const hostMain = fileURLToPath(new URL("../../src/host/main.ts", import.meta.url));
const hostProcess = fork(hostMain, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
await new Promise((resolve) => void hostProcess.once("message", resolve));

function reach(name: string): void {
  if (name !== step) return;
  hostProcess.kill("SIGKILL");
  process.kill(process.pid, "SIGKILL");
}

const real = connectHost(config.hostSocket);
const dying: CapsuleHost = {
  ...real,
  end: async (tombstone) => {
    reach("before the process is killed");
    await real.end(tombstone);
    reach("before the key is destroyed");
  },
  erase: async (account) => {
    reach("before the directory is erased");
    await real.erase(account);
    reach("before the rows are deleted");
  },
};
const log = createLog("crash", "silent");
log.info = () => reach("after the last step");
await openWing({ ...config, clock: systemClock, host: dying, log });
