// Deeds that no transaction can hold, such as writes to a capsule's state: intent before, outcome after, so that the
// trail never lacks what was done; an intent without an outcome says that a crash came between.
import type { Principal } from "../permissions/authorize.ts";
import type { ProductContext } from "../products/product.ts";
import type { Store } from "../store/store.ts";
import type { Deed, Entry, Trail } from "../trail/trail.ts";

export function createOutside({ store, trail }: { readonly store: Store; readonly trail: Trail }): ProductContext["outside"] {
  return async (principal: Principal, action: Deed, resource: string, fn) => {
    const { account, task, actors, token } = principal;
    const entry = (outcome: Entry["outcome"]): Entry => ({
      at: store.clock.now(),
      account,
      task,
      actors,
      token,
      action,
      resource,
      outcome,
    });
    await store.inAccount(principal, (tx) => trail.append(tx, entry("intent")));
    // The account may have ended meanwhile; what was done is written down all the same.
    const close = (outcome: "done" | "failed") => store.transaction((tx) => trail.append(tx, entry(outcome)));
    let result;
    try {
      result = await fn();
    } catch (error) {
      await close("failed");
      throw error;
    }
    await close("done");
    return result;
  };
}
