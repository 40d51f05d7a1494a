// Ours, run in the upload's own isolate during a trial: tells what the upload's entry module exports. Code of the
// upload can falsify the answer, to nobody's harm but its own account's; it cannot say that it started if it did not.
import { DurableObject, WorkerEntrypoint, WorkflowEntrypoint } from "cloudflare:workers";
import * as upload from "./MAYFLY_ENTRY";

const MOST = 200;
const BASES = [
  [DurableObject, "durable-object"],
  [WorkerEntrypoint, "entrypoint"],
  [WorkflowEntrypoint, "workflow"],
];

/** Names of functions on the object and its prototypes, up to the one named and to what every object has. */
function methodsOf(object, stop) {
  const names = new Set();
  for (let at = object; at && at !== stop && at !== Object.prototype && at !== Function.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (name !== "constructor" && typeof property.value === "function") names.add(name.slice(0, MOST));
    }
  }
  return [...names].slice(0, MOST);
}

function describe(value) {
  if (typeof value !== "function") return { kind: "handlers", methods: methodsOf(value) };
  for (const [base, kind] of BASES) {
    if (value.prototype instanceof base) return { kind, methods: methodsOf(value.prototype, base.prototype) };
  }
  return { kind: "other", methods: methodsOf(value.prototype) };
}

/** What the runtime can call of the default export; getters and proxies list nothing, but answer when asked. */
const HANDLERS = ["fetch", "scheduled", "queue", "email", "tail", "trace", "tailStream", "connect", "test"];

function handlersOf(main) {
  const asked = typeof main === "object" ? HANDLERS.filter((name) => typeof main[name] === "function") : [];
  return [...new Set([...describe(main).methods, ...asked])];
}

export class MayflyProbe extends WorkerEntrypoint {
  mayflyReport() {
    const names = Object.keys(upload).slice(0, MOST);
    const entrypoints = names
      .filter((name) => name !== "default")
      .map((name) => ({ name: name.slice(0, MOST), ...describe(upload[name]) }));
    const main = upload.default;
    return JSON.stringify({ handlers: main === undefined || main === null ? null : handlersOf(main), entrypoints });
  }
}
