// From the namespaces that there are and an upload's migrations to the namespaces that there will be. Pure. Steps are
// applied in order, and within a step what goes before what comes, so that a name can be given anew.
import { PlatformError } from "../../../kernel/errors.ts";

/** A name under which bindings may still know a namespace after a rename or transfer. */
export type FormerName = { readonly workerId: string; readonly className: string };

export type Namespace = {
  /** 32 hexadecimal digits, for ever. */
  readonly id: string;
  /** The Worker that owns it. */
  readonly workerId: string;
  readonly className: string;
  /** For ever: ids and files of the objects derive from it. */
  readonly uniqueKey: string;
  readonly sql: boolean;
  readonly formerNames: readonly FormerName[];
  readonly createdAtMs: number;
};

export type Step = {
  readonly created: readonly { readonly className: string; readonly sql: boolean }[];
  readonly renamed: readonly { readonly from: string; readonly to: string }[];
  readonly deleted: readonly string[];
  readonly transferred: readonly { readonly from: string; readonly script: string; readonly to: string }[];
};

export type Migrations = { readonly oldTag: string | null; readonly newTag: string | null; readonly steps: readonly Step[] };

/** The kind of migration by which a class came, as messages name it. */
export type Came = "new-class" | "new-sqlite-class" | "rename-class" | "transfer-class";

/** A namespace of the Worker as it will be; `came` is null where nothing changed it. */
export type Planned = Omit<Namespace, "workerId"> & { readonly came: Came | null };

export type Standing = {
  /** Null for a Worker that is new. */
  readonly worker: { readonly id: string; readonly migrationTag: string | null } | null;
  readonly script: string;
  /** All of the account. */
  readonly namespaces: readonly Namespace[];
  /** Ids of the account's Workers by name. */
  readonly workers: ReadonlyMap<string, string>;
};

export type Outcome = {
  readonly tag: string | null;
  readonly own: readonly Planned[];
  /** What the Worker had and has no more. */
  readonly gone: readonly Namespace[];
  readonly sources: readonly string[];
};

const shown = (name: string): string => `'${name.slice(0, 80)}'`;

const notApplicable = (message: string, next?: string): PlatformError =>
  new PlatformError("migration_not_applicable", next === undefined ? { message } : { message, next });

/** The steps' way through the Worker's namespaces, by class name. */
class Applying {
  readonly own = new Map<string, Planned>();
  readonly sources = new Set<string>();
  readonly #standing: Standing;
  readonly #make: (className: string, sql: boolean) => Planned;

  constructor(standing: Standing, make: (className: string, sql: boolean) => Planned) {
    this.#standing = standing;
    this.#make = make;
    for (const { workerId, ...namespace } of standing.namespaces) {
      if (workerId === standing.worker?.id) this.own.set(namespace.className, { ...namespace, came: null });
    }
  }

  apply(step: Step): void {
    for (const name of step.deleted) this.#take("delete-class", name);
    for (const { from, to } of step.renamed) {
      const { worker } = this.#standing;
      const found = this.#take("rename-class", from);
      // What came with this very upload was never known by its former name.
      const former = worker && found.came === null ? [{ workerId: worker.id, className: from }] : [];
      this.#put(
        { ...found, className: to, came: found.came ?? "rename-class", formerNames: [...found.formerNames, ...former] },
        "rename-class",
      );
    }
    for (const { from, script, to } of step.transferred) this.#transfer(from, script, to);
    for (const { className, sql } of step.created) this.#put(this.#make(className, sql), sql ? "new-sqlite-class" : "new-class");
  }

  #take(kind: string, className: string): Planned {
    const found = this.own.get(className);
    if (!found) {
      throw notApplicable(
        `Cannot apply ${kind} migration to class ${shown(className)} which was not exported in the previous version of the script.`,
        "Correct the class's name, or remove the step: the Worker has no such class of Durable Objects.",
      );
    }
    this.own.delete(className);
    return found;
  }

  #put(namespace: Planned, kind: Came): void {
    const { className } = namespace;
    if (this.own.has(className)) {
      throw notApplicable(
        `Cannot apply ${kind} migration to class ${shown(className)} that is already depended on by existing Durable Objects.`,
        "Remove the step: the class is there already; its code changes without a migration.",
      );
    }
    this.own.set(className, namespace);
  }

  #transfer(from: string, script: string, to: string): void {
    const { namespaces, workers } = this.#standing;
    if (script === this.#standing.script) {
      throw notApplicable(`Cannot apply transfer-class migration to class ${shown(from)} of the script itself.`, "Use renamed_classes.");
    }
    const source = workers.get(script);
    const found = namespaces.find(({ workerId, className }) => workerId === source && className === from);
    const taken = found && [...this.own.values()].some(({ id }) => id === found.id);
    if (source === undefined || !found || taken) {
      throw notApplicable(
        `Cannot apply transfer-class migration to class ${shown(from)}, which the script ${shown(script)} does not have.`,
        "Correct from and from_script; both Workers must be of this account.",
      );
    }
    this.sources.add(script);
    const { workerId, ...namespace } = found;
    const formerNames = [...found.formerNames, { workerId, className: from }];
    this.#put({ ...namespace, className: to, came: "transfer-class", formerNames }, "transfer-class");
  }
}

/**
 * @param make a namespace that is new
 * @throws PlatformError migration_out_of_step, migration_not_applicable
 */
export function applyMigrations(
  standing: Standing,
  migrations: Migrations | null,
  make: (className: string, sql: boolean) => Omit<Planned, "className" | "sql" | "came" | "formerNames">,
): Outcome {
  const tag = standing.worker?.migrationTag ?? null;
  const applying = new Applying(standing, (className, sql) => ({
    ...make(className, sql),
    className,
    sql,
    formerNames: [],
    came: sql ? "new-sqlite-class" : "new-class",
  }));
  if (migrations && migrations.oldTag !== tag) {
    throw new PlatformError("migration_out_of_step", {
      message: `Actor migration tag precondition failed, got tag ${shown(migrations.oldTag ?? "")} when expected tag is ${shown(tag ?? "")}.`,
    });
  }
  for (const step of migrations?.steps ?? []) applying.apply(step);
  const own = [...applying.own.values()];
  const kept = new Set(own.map(({ id }) => id));
  return {
    tag: migrations?.newTag ?? tag,
    own,
    gone: standing.namespaces.filter(({ id, workerId }) => workerId === standing.worker?.id && !kept.has(id)),
    sources: [...applying.sources],
  };
}

/** @throws PlatformError class_not_exported, class_in_use */
export function checkExported(own: readonly Planned[], exported: readonly string[]): void {
  const there = new Set(exported);
  for (const { className, came } of own) {
    if (there.has(className)) continue;
    if (came !== null) {
      throw new PlatformError("class_not_exported", {
        message: `Cannot apply ${came} migration to class ${shown(className)} that is not exported by script.`,
      });
    }
    throw new PlatformError("class_in_use", {
      message: `New version of script does not export class ${shown(className)} which is depended on by existing Durable Objects.`,
    });
  }
}
