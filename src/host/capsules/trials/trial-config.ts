// The process that tries an upload: the Worker exactly as it would run, beside it the same Worker behind a probe
// that tells its exports, and a judge in an isolate of its own who prints them. Bindings to services lead nowhere.
import type { WorkerService } from "../../../capsule/spec.ts";
import { type Bytes, noInternet, OWN_COMPATIBILITY_DATE, workerdWorker } from "../workerd/config.ts";
import { encodeConfig } from "../workerd/encode.ts";
import { runtimeSource } from "../workerd/modules.ts";
import type { WorkerdModule, WorkerdService, WorkerdWorker } from "../workerd/workerd-config.ts";

/** Services of the process, as they appear in workerd's messages. */
export const SUBJECT = "upload";
export const LENS = "lens";
export const JUDGE = "judge";

const STUB = "stub";
const NOWHERE = "internet";

const own = (modules: readonly WorkerdModule[]): WorkerdWorker => ({
  modules,
  compatibilityDate: OWN_COMPATIBILITY_DATE,
  globalOutbound: { name: NOWHERE },
});

function withoutServices(worker: WorkerService): WorkerService {
  return {
    ...worker,
    bindings: worker.bindings.map((binding) =>
      binding.kind === "service" ? { kind: "service", name: binding.name, service: STUB } : binding,
    ),
  };
}

/** The Worker with our probe as its first module, or, in service-worker format, with its listeners counted. */
function lens(subject: WorkerdWorker, probeName: string): WorkerdWorker {
  if ("serviceWorkerScript" in subject) {
    return { ...subject, serviceWorkerScript: runtimeSource("trial-listen").trimEnd() + subject.serviceWorkerScript };
  }
  const entry = subject.modules[0]?.name ?? "";
  const source = runtimeSource("trial-probe").replace('"./MAYFLY_ENTRY"', () => JSON.stringify(`./${entry}`));
  return { ...subject, modules: [{ name: probeName, esModule: source }, ...subject.modules] };
}

function judge(nonce: string, format: WorkerService["code"]["format"]): WorkerdService {
  const modules = format === "modules";
  return {
    name: JUDGE,
    worker: {
      ...own([{ name: "judge.js", esModule: runtimeSource("trial-judge") }]),
      bindings: [
        { name: "NONCE", text: nonce },
        { name: "SERVICE_WORKER", json: JSON.stringify(!modules) },
        { name: "LENS", service: { name: LENS, ...(modules && { entrypoint: "MayflyProbe" }) } },
      ],
    },
  };
}

/**
 * What `workerd test --experimental --binary - judge` reads for one trial.
 * @param nonce unguessable; stands before the report on standard output.
 */
export function trialConfig(worker: WorkerService, bytes: Bytes, nonce: string, v8Flags: readonly string[]): Uint8Array {
  const subject = workerdWorker(withoutServices(worker), bytes, NOWHERE);
  const bindsServices = worker.bindings.some((binding) => binding.kind === "service");
  const stub: WorkerdService = { name: STUB, worker: own([{ name: "stub.js", esModule: runtimeSource("absent-service") }]) };
  return encodeConfig({
    services: [
      noInternet,
      // An isolate more costs every trial some 6 ms.
      ...(bindsServices ? [stub] : []),
      // Before the upload, so that the upload's own messages come last and survive a bounded tail.
      { name: LENS, worker: lens(subject, `mayfly-probe-${nonce.slice(0, 8)}.js`) },
      { name: SUBJECT, worker: subject },
      judge(nonce, worker.code.format),
    ],
    v8Flags,
  });
}
