// Bindings to classes of Durable Objects, of the Worker itself or of another of the account. They name a class, and go
// on reaching its objects under the name that it had when they were made.
import { PlatformError } from "../../../kernel/errors.ts";
import type { BindingKind, Fields } from "../product.ts";
import { bindingFields, type BindingFields } from "./contract.ts";
import type { Namespace } from "./migrations.ts";
import { listNamespaces, workerIds } from "./store.ts";

const shown = (name: string): string => `'${name.slice(0, 80)}'`;
const read = (fields: Fields): BindingFields => bindingFields.parse(fields);

const notBindable = (message: string, next?: string): PlatformError =>
  new PlatformError("class_not_bindable", next === undefined ? { message } : { message, next });

const notConfigured = (className: string): PlatformError =>
  notBindable(
    `Cannot create binding for class ${shown(className)} because it is not currently configured to implement Durable Objects.`,
    `Add it with a migration ({"tag": "…", "new_sqlite_classes": [${JSON.stringify(className.slice(0, 80))}]}), or correct the binding's class_name.`,
  );

const deleted = (className: string): PlatformError =>
  notBindable(
    `Cannot apply --delete-class migration to class ${shown(className)} without also removing the binding that references it.`,
    "Remove the binding and deploy again.",
  );

function notOf(script: string, className: string, workers: ReadonlyMap<string, string>, namespaces: readonly Namespace[]): PlatformError {
  const workerId = workers.get(script);
  if (workerId === undefined) {
    return notBindable(
      `Cannot create binding for class ${shown(className)} in script ${shown(script)} that does not exist.`,
      "Deploy that Worker first, then this one, or correct script_name.",
    );
  }
  const renamed = namespaces.find(({ formerNames }) =>
    formerNames.some((known) => known.workerId === workerId && known.className === className),
  );
  return notBindable(
    `Cannot create binding for class ${shown(className)} that is not a class of Durable Objects of the script ${shown(script)}.`,
    renamed
      ? `It is called ${JSON.stringify(renamed.className)} now: correct class_name or script_name.`
      : "Correct class_name, or add the class to that Worker with a migration.",
  );
}

const keyOf = (workerId: string, className: string): string => JSON.stringify([workerId, className]);

/** Namespaces by every name that leads to them; a name that is given anew leads to the newer one. */
function byName(namespaces: readonly Namespace[]): Map<string, Namespace> {
  const former = namespaces.flatMap((namespace) =>
    namespace.formerNames.map(({ workerId, className }) => [keyOf(workerId, className), namespace] as const),
  );
  return new Map([...former, ...namespaces.map((namespace) => [keyOf(namespace.workerId, namespace.className), namespace] as const)]);
}

export const objectBinding: BindingKind = {
  type: "durable_object_namespace",
  fields: bindingFields,
  settle: async (db, account, fields, script, plan) => {
    const { class_name: className, script_name: other = script } = read(fields);
    if (other === script && plan) {
      if (plan.deleted.has(className)) throw deleted(className);
      if (!plan.classes.has(className)) throw notConfigured(className);
      return null;
    }
    const [namespaces, workers] = [await listNamespaces(db, account), await workerIds(db, account)];
    const workerId = workers.get(other);
    const found = namespaces.some((namespace) => namespace.workerId === workerId && namespace.className === className);
    if (!found) throw other === script ? notConfigured(className) : notOf(other, className, workers, namespaces);
    return other === script ? null : { action: "workers:read", resource: { account, product: "workers", id: other } };
  },
  compose: async (db, account) => {
    const names = byName(await listNamespaces(db, account));
    const workers = await workerIds(db, account);
    return (fields, script) => {
      const { class_name, script_name = script } = read(fields);
      const found = names.get(keyOf(workers.get(script_name) ?? "", class_name));
      // No Worker has the empty id, so that nothing is bound where nothing is.
      return { kind: "objects-of", workerId: found?.workerId ?? "", className: found?.className ?? class_name };
    };
  },
  describe: (fields) => `The Durable Object class ${JSON.stringify(read(fields).class_name)}`,
};
