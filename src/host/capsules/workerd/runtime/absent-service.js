// Stands where a binding names something that is not there: a binding to a missing entrypoint would stop the whole
// process. Every call fails with a sentence that names what is missing, from ctx.props: {worker, entrypoint} or {resource}.
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";

function refusal(props) {
  if (props?.resource !== undefined) return new Error(`${props.resource} does not exist (any more). Remove the binding, or bind another.`);
  const worker = props?.worker === undefined ? "The bound Worker" : `The bound Worker "${props.worker}"`;
  const entrypoint = props?.entrypoint === undefined ? "" : ` or its entrypoint "${props.entrypoint}"`;
  return new Error(`${worker}${entrypoint} does not exist (any more). Deploy it, or remove the binding.`);
}

// What workerd itself asks an entrypoint for; any other name is a caller's.
const WORKERDS = new Set(["constructor", "ctx", "env", "then", "tail", "tailStream", "trace", "test", "connect"]);

export default class Absent extends WorkerEntrypoint {
  constructor(ctx, env) {
    super(ctx, env);
    const refuse = async () => {
      throw refusal(ctx.props);
    };
    return new Proxy(this, {
      get: (target, name) => (typeof name === "symbol" || WORKERDS.has(name) ? Reflect.get(target, name) : refuse),
      has: (target, name) => typeof name === "string" || Reflect.has(target, name),
    });
  }

  async fetch() {
    throw refusal(this.ctx.props);
  }
}

/** For trials, where no object is ever reached. */
export class AbsentObject extends DurableObject {}
