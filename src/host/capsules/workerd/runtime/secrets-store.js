// Secrets of the account's stores, as Workers bind them: the value is in the binding's own props, {name, value}, which
// the Worker that holds the binding cannot read. A secret that is gone has no value there.
import { WorkerEntrypoint } from "cloudflare:workers";

export class Secret extends WorkerEntrypoint {
  async get() {
    const { name, value } = this.ctx.props;
    if (value === undefined) throw new Error(`Secret "${name}" not found`);
    return value;
  }
}

export default {
  fetch: () => new Response(null, { status: 404 }),
};
