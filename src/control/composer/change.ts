// A write that the capsule must see: deed and new spec in one transaction, then host applies what was committed.
import { PlatformError } from "../../kernel/errors.ts";
import type { ProductContext } from "../products/product.ts";
import type { Principal } from "../permissions/authorize.ts";
import type { Account, Store, Tx } from "../store/store.ts";
import type { Composer } from "./composer.ts";

export type ChangeOptions = { readonly store: Store; readonly composer: () => Composer };

const isGone = (cause: unknown): boolean => cause instanceof PlatformError && cause.code === "account_gone";

export function createChange({ store, composer }: ChangeOptions): ProductContext["change"] {
  const changed = async <T>(principal: Principal, fn: (tx: Tx, account: Account) => Promise<T>) =>
    store.inAccount(principal, async (tx, account) => {
      const result = await fn(tx, account);
      // The deed may have touched the account's own row, a suspension lifted by a deploy for one.
      const row = await tx.selectFrom("accounts").selectAll().where("id", "=", account.id).executeTakeFirstOrThrow();
      return { result, spec: await composer().recompose(tx, row) };
    });
  /** What only visits brought in may be what does not start: without it, the change is tried once more. */
  const lightened = async (principal: Principal): Promise<boolean> => {
    const { result, spec } = await changed(principal, (tx, account) => composer().rest(tx, account.id));
    if (result) await composer().publish(spec);
    return result;
  };
  return async (principal, fn) => {
    const { result, spec } = await changed(principal, fn);
    try {
      await composer().publish(spec);
    } catch (cause) {
      // The end came between commit and host: what was saved is gone with the rest, and no retry brings it back.
      if (isGone(cause)) throw cause;
      const mended = await lightened(principal).catch((error: unknown) => {
        if (isGone(error)) throw error;
        return false;
      });
      if (mended) return result;
      throw new PlatformError("capsule_failed", {
        message: "The change is saved, but the account's process could not take it up.",
        next: "It is taken up as soon as the machine can; send the request again to see whether it has.",
        cause,
      });
    }
    return result;
  };
}
