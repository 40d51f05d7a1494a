// The way out of one capsule: its own connections, shared with no other, and no more of them than it may have.
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import type { Allowance } from "./allowance.ts";
import { explain, say } from "./answers.ts";
import { dial, type DialOptions } from "./dial.ts";
import { DialingAgent } from "./dialing-agent.ts";
import { forward, type Call, type Forwarding } from "./forward.ts";
import { join } from "./metering.ts";
import { Places } from "./places.ts";
import type { Target } from "./target.ts";

export type OutwardOptions = Omit<DialOptions, "places" | "maxConnections"> &
  Omit<Forwarding, "allowance" | "agent"> & {
    readonly allowance: Pick<Allowance, "admit" | "passed" | "tell" | "maxConnections">;
  };

export class Outward {
  readonly #options: OutwardOptions;
  readonly #dialing: DialOptions;
  readonly #places: Places;
  readonly #plain: DialingAgent;
  readonly #secure: DialingAgent;

  constructor(options: OutwardOptions) {
    this.#options = options;
    const maxConnections = (): number => options.allowance.maxConnections;
    this.#places = new Places(maxConnections, () => this.#plain.spare ?? this.#secure.spare);
    this.#dialing = { ...options, places: this.#places, maxConnections };
    this.#plain = this.#agent(false);
    this.#secure = this.#agent(true);
  }

  #agent(secure: boolean): DialingAgent {
    return new DialingAgent((hostname, port) =>
      dial({ secure, hostname, port, literal: isIP(hostname) !== 0, authority: hostname, path: "" }, this.#dialing),
    );
  }

  /** Sends a request, or answers why not. */
  forward(target: Target, call: Call): void {
    const { allowance } = this.#options;
    const refusal = allowance.admit(target);
    if (refusal !== null) {
      allowance.tell(refusal, target);
      return say(call.outgoing, explain(refusal));
    }
    forward(target, call, { ...this.#options, agent: target.secure ? this.#secure : this.#plain });
  }

  /** Connects a socket of the capsule's to the target. @throws DialError, EgressRefusal, which is for the caller to tell */
  async tunnel(target: Target, socket: Duplex, head: Buffer): Promise<void> {
    const { allowance } = this.#options;
    const refusal = allowance.admit(target);
    if (refusal !== null) throw refusal;
    const outward = await dial(target, this.#dialing);
    if (socket.destroyed) {
      outward.destroy();
      return;
    }
    socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
    join(allowance, target, [socket, head], [outward, Buffer.alloc(0)], true);
  }

  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
    this.#places.close();
  }
}
