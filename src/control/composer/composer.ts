// An account's rows → the CapsuleSpec that host runs. The generation rises only when something in the spec
// changed, in the transaction of the change; what was committed is then applied.
import { createHash } from "node:crypto";
import type { CapsuleHost } from "../../capsule/messages.ts";
import { CAPS, type Caps } from "../../capsule/caps.ts";
import type { CapsuleLimits, CapsuleSpec } from "../../capsule/spec.ts";
import type { AccountId } from "../../kernel/ids.ts";
import type { Product } from "../products/product.ts";
import type { Account, Tx } from "../store/store.ts";

export type Composer = {
  /** The spec as the rows stand, without touching them. */
  compose(tx: Tx, account: Account): Promise<CapsuleSpec>;
  /** Composes and, where the digest changed, raises the generation; null when host already has it. */
  recompose(tx: Tx, account: Account): Promise<CapsuleSpec | null>;
  /** Takes out of the next spec what only visits brought in. @returns whether there was anything */
  rest(tx: Tx, account: AccountId): Promise<boolean>;
  /** Hands a committed spec to host. @throws PlatformError capsule_failed */
  publish(spec: CapsuleSpec | null): Promise<void>;
};

export type ComposerOptions = {
  readonly products: readonly Product[];
  readonly host: CapsuleHost;
  readonly limitsOf: (account: Pick<Account, "state">) => CapsuleLimits;
};

/** A claimed account has so many times what a temporary one has. */
const CLAIMED_TIMES = 10;
const MAX_CONNECTIONS = 512;

/** @param temporary limits of a temporary account @param claimedPorts open to a claimed one */
export function limitsByState(
  temporary: CapsuleLimits,
  claimedPorts: CapsuleLimits["egress"]["ports"],
): (account: Pick<Account, "state">) => CapsuleLimits {
  const caps = Object.fromEntries(CAPS.map((cap) => [cap, temporary.caps[cap] * CLAIMED_TIMES])) as Caps;
  const maxConnections = Math.max(
    temporary.egress.maxConnections,
    Math.min(temporary.egress.maxConnections * CLAIMED_TIMES, MAX_CONNECTIONS),
  );
  const claimed: CapsuleLimits = { ...temporary, caps, egress: { ports: claimedPorts, maxConnections } };
  return ({ state }) => (state === "claimed" ? claimed : temporary);
}

const digestOf = (spec: CapsuleSpec): string =>
  createHash("sha256")
    .update(JSON.stringify({ ...spec, generation: 0 }))
    .digest("hex");

export function createComposer({ products, host, limitsOf }: ComposerOptions): Composer {
  const compose = async (tx: Tx, account: Account): Promise<CapsuleSpec> => {
    const parts = [];
    for (const product of products) parts.push(await product.compose(tx, account));
    return {
      account: account.id,
      subdomain: account.subdomain,
      claimed: account.state === "claimed",
      generation: account.generation,
      endsAtMs: account.expires_at,
      suspended: account.suspended_reason,
      limits: limitsOf(account),
      units: [
        {
          id: "main",
          services: parts.flatMap((part) => part.services),
          fronts: parts.flatMap((part) => part.fronts),
          ingress: parts.flatMap((part) => part.ingress),
        },
      ],
      keep: {
        code: [...new Set(parts.flatMap((part) => part.keep.code))],
        assets: [...new Set(parts.flatMap((part) => part.keep.assets))],
        state: {
          kv: parts.flatMap((part) => part.keep.state?.kv ?? []),
          d1: parts.flatMap((part) => part.keep.state?.d1 ?? []),
          objects: parts.flatMap((part) => part.keep.state?.objects ?? []),
        },
      },
    };
  };
  return {
    compose,
    recompose: async (tx, account) => {
      const spec = await compose(tx, account);
      const digest = digestOf(spec);
      if (digest === account.spec_digest) return null;
      const generation = account.generation + 1;
      await tx.updateTable("accounts").set({ generation, spec_digest: digest }).where("id", "=", account.id).execute();
      return { ...spec, generation };
    },
    rest: async (tx, account) => {
      let any = false;
      for (const { labels } of products) any = (await labels?.rest(tx, account)) === true || any;
      return any;
    },
    publish: async (spec) => {
      if (spec) await host.apply(spec);
    },
  };
}
