// Admission over a real database of its own, with a clock that the test moves.
import { createAdmission, type Admission, type AdmissionOptions, type OfferedChallenge } from "../../../src/control/admission/admission.ts";
import { openKeys } from "../../../src/control/keys/keys.ts";
import { openStore, type Store } from "../../../src/control/store/store.ts";
import { PlatformError, type ErrorCode } from "../../../src/kernel/errors.ts";
import { createLog } from "../../../src/kernel/log.ts";
import { solveChallenge } from "../../fixtures/solve-challenge.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

export const ADDRESS = "192.0.2.1";

export type OpenAdmission = AsyncDisposable & { readonly admission: Admission; readonly store: Store; readonly clock: { nowMs: number } };

/** @param options 1,000 hashes and 20 accounts an hour unless given; SQLite without a `databaseUrl` */
export async function openAdmission(
  options: Partial<Omit<AdmissionOptions, "store" | "keys" | "data" | "log">> & { readonly databaseUrl?: string } = {},
): Promise<OpenAdmission> {
  const stack = new AsyncDisposableStack();
  const directory = stack.use(await temporaryDirectory("admission"));
  const clock = { nowMs: Date.UTC(2026, 0, 1) };
  const databaseUrl = options.databaseUrl ?? null;
  const store = stack.use(await openStore({ databaseUrl, data: directory.path, clock: { now: () => clock.nowMs } }));
  const keys = openKeys({ data: directory.path, masterKey: "ab".repeat(32) });
  const admission = stack.use(
    createAdmission({
      powHashes: 1000,
      powMaxHashes: 64_000_000,
      accountsPerHourPerIp: 20,
      accountsPerHour: 5000,
      accountsMax: 10_000,
      diskReserveBytes: 0,
      ...options,
      data: directory.path,
      store,
      keys,
      log: createLog("test", "silent"),
    }),
  );
  return { admission, store, clock, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

export const answerTo = (challenge: OfferedChallenge, checkpoints = solveChallenge(challenge)) => ({
  challengeToken: challenge.challengeToken,
  checkpoints,
});

/** For assert.rejects and assert.throws: a refusal with that code. */
export function refusal(code: ErrorCode, message = /./): (error: unknown) => true {
  return (error) => {
    if (!(error instanceof PlatformError)) throw error;
    if (error.code !== code || !message.test(error.message)) throw new Error(`${error.code}: ${error.message}`, { cause: error });
    return true;
  };
}
