// The process that tries an upload: the Worker exactly as it would run, beside it the same Worker behind a probe
// that tells its exports, and a judge in an isolate of its own who prints them. Bindings to services lead nowhere.
import type { Binding, WorkerService } from "../../../capsule/spec.ts";
import { type Bytes, noInternet, OWN_COMPATIBILITY_DATE, workerdWorker } from "../workerd/config.ts";
import { encodeConfig } from "../workerd/encode.ts";
import { runtimeSource } from "../workerd/modules.ts";
import { VOID, type WorkerdModule, type WorkerdService, type WorkerdWorker } from "../workerd/workerd-config.ts";

/** Services of the process, as they appear in workerd's messages. */
export const SUBJECT = "upload";
export const LENS = "lens";
export const JUDGE = "judge";

const STUB = "stub";
/** The stub's class of Durable Objects. */
const STUB_OBJECT = "AbsentObject";
const NOWHERE = "internet";

const own = (modules: readonly WorkerdModule[]): WorkerdWorker => ({
  modules,
  compatibilityDate: OWN_COMPATIBILITY_DATE,
  globalOutbound: { name: NOWHERE },
});

/** The binding as far as a script can see before it uses it; what it would reach is the stub. */
function withoutService(binding: Binding): Binding {
  switch (binding.kind) {
    case "service":
      return { kind: "service", name: binding.name, service: STUB };
    case "kv":
    case "d1":
    case "analytics-engine":
      return { kind: binding.kind, name: binding.name, service: STUB, props: "{}" };
    case "objects":
      return { kind: "objects", name: binding.name, service: STUB, className: STUB_OBJECT };
    default:
      return binding;
  }
}

const reachesServices = (binding: Binding): boolean => withoutService(binding) !== binding;

const stub = (): WorkerdService => ({
  name: STUB,
  worker: {
    ...own([{ name: "stub.js", esModule: runtimeSource("absent-service") }]),
    durableObjectNamespaces: [{ className: STUB_OBJECT, uniqueKey: "stub", enableSql: true }],
    durableObjectStorage: { inMemory: VOID },
  },
});

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
  const subject = workerdWorker({ ...worker, bindings: worker.bindings.map(withoutService) }, bytes, NOWHERE);
  return encodeConfig({
    services: [
      noInternet,
      // An isolate more costs every trial some 6 ms.
      ...(worker.bindings.some(reachesServices) ? [stub()] : []),
      // Before the upload, so that the upload's own messages come last and survive a bounded tail.
      { name: LENS, worker: lens(subject, `mayfly-probe-${nonce.slice(0, 8)}.js`) },
      { name: SUBJECT, worker: subject },
      judge(nonce, worker.code.format),
    ],
    v8Flags,
  });
}
