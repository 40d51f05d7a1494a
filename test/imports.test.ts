// The tree is the architecture: who may import whom in the house, and what a file may be called and weigh.
// Read from the sources' text, so that a rule broken by a file that no test loads is found too.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, dirname, join, posix } from "node:path";
import { describe, test } from "node:test";

const ROOT = join(import.meta.dirname, "..");
const GENERATED = new Set(["src/host/capsules/workerd/workerd-schema.js"]);
const MAINS = new Set(["src/main.ts", "src/control/main.ts", "src/host/main.ts", "src/cli/main.ts"]);
const MAX_LINES = 500;

type Import = { readonly from: string; readonly specifier: string };

const text = (file: string): string => readFileSync(join(ROOT, file), "utf8");
const list = (...patterns: string[]): string[] => globSync(patterns, { cwd: ROOT }).toSorted();

const sources = list("src/**/*.{ts,tsx,js}").filter((file) => !GENERATED.has(file));

const STATEMENT = /^[ \t]*(?:import|export)\b[^'"`;]*?\bfrom\s*["']([^"']+)["']/gm;
const BARE = /^[ \t]*import\s*["']([^"']+)["']/gm;
const DYNAMIC = /\bimport\(\s*["']([^"']+)["']/g;

/** Every specifier that a file imports or re-exports from, types included; relative ones as paths from the root. */
function importsOf(file: string): Import[] {
  const source = text(file);
  return [STATEMENT, BARE, DYNAMIC].flatMap((pattern) =>
    [...source.matchAll(pattern)].map(([, specifier = ""]) => ({
      from: file,
      specifier: specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier) : specifier,
    })),
  );
}

const imports = sources.flatMap(importsOf);
const ours = imports.filter(({ specifier }) => specifier.startsWith("src/"));

/** control's order, lowest first; rooms on one line do not import each other. */
const CONTROL_ORDER = [
  ["store"],
  ["keys"],
  ["trail"],
  ["permissions"],
  ["http"],
  ["admission", "tokens"],
  ["people"],
  ["products/product.ts"],
  ["products/*"],
  ["products/registry.ts"],
  ["composer"],
  ["accounts", "logs"],
  ["operator"],
  ["main"],
];

type Room = { readonly wing: string; readonly room: string; readonly rank: number };

/** Where in the house a file lies. Rank is the height in control's order, -1 in other wings. */
function roomOf(file: string): Room {
  const [, wing = "", first = "", second = "", ...deeper] = file.split("/");
  if (second === "" && first === "") return { wing: "root", room: wing, rank: -1 };
  if (wing !== "control") return { wing, room: first, rank: -1 };
  const rankOf = (room: string): number => CONTROL_ORDER.findIndex((rooms) => rooms.includes(room));
  if (second === "") return { wing, room: "main", rank: rankOf("main") };
  if (first !== "products") return { wing, room: first, rank: rankOf(first) };
  if (deeper.length === 0) return { wing, room: `products/${second}`, rank: rankOf(`products/${second}`) };
  return { wing, room: `products/${second}/`, rank: rankOf("products/*") };
}

/** Why `from` must not import `to`, or undefined where it may. */
function refusal(from: string, to: string): string | undefined {
  if (to === "src/config.ts") return MAINS.has(from) ? undefined : "only the mains import config";
  const importer = roomOf(from);
  const imported = roomOf(to);
  if (importer.wing === "kernel") return imported.wing === "kernel" ? undefined : "kernel imports nothing of ours";
  if (imported.wing === "kernel") return undefined;
  if (importer.wing === "capsule") return imported.wing === "capsule" ? undefined : "capsule imports kernel only";
  if (importer.wing === "host") {
    return imported.wing === "capsule" || imported.wing === "host" ? undefined : "host imports kernel, capsule and host only";
  }
  if (importer.wing === "cli") return imported.wing === "cli" ? undefined : "cli reaches the server over HTTP or as a process";
  if (importer.wing !== "control") return undefined;
  if (imported.wing === "capsule") return undefined;
  if (imported.wing !== "control") return "control imports kernel, capsule and control only";
  if (importer.room === imported.room) return undefined;
  if (importer.room === "logs" && imported.room.endsWith("/")) return "logs knows products by what they are handed, not by their rooms";
  if (importer.rank === imported.rank) return "rooms of one height never import each other";
  return imported.rank < importer.rank ? undefined : "control's order";
}

/** A chain of imports that comes back to where it began, if there is one. */
function findCycle(): string[] | undefined {
  const edges = Map.groupBy(ours, ({ from }) => from);
  const finished = new Set<string>();
  const visit = (file: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file];
    if (finished.has(file)) return undefined;
    for (const { specifier } of edges.get(file) ?? []) {
      const cycle = visit(specifier, [...trail, file]);
      if (cycle) return cycle;
    }
    finished.add(file);
    return undefined;
  };
  for (const file of sources) {
    const cycle = visit(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}

describe("imports", () => {
  test("follow the order of the house", () => {
    const broken = ours.flatMap(({ from, specifier }) => {
      const reason = refusal(from, specifier);
      return reason ? [`${from} → ${specifier}: ${reason}`] : [];
    });
    assert.deepEqual(broken, []);
  });

  test("the order's own rules refuse what they should", () => {
    const cases: [string, string, boolean][] = [
      ["src/control/store/a.ts", "src/control/keys/a.ts", false],
      ["src/control/keys/a.ts", "src/control/store/a.ts", true],
      ["src/control/tokens/a.ts", "src/control/admission/a.ts", false],
      ["src/control/products/kv/routes.ts", "src/control/products/d1/store.ts", false],
      ["src/control/products/kv/routes.ts", "src/control/products/kv/store.ts", true],
      ["src/control/products/kv/routes.ts", "src/control/products/product.ts", true],
      ["src/control/products/product.ts", "src/control/products/registry.ts", false],
      ["src/control/products/registry.ts", "src/control/products/kv/index.ts", true],
      ["src/control/logs/a.ts", "src/control/products/workers/deeds.ts", false],
      ["src/control/logs/a.ts", "src/control/products/product.ts", true],
      ["src/control/accounts/a.ts", "src/config.ts", false],
      ["src/control/main.ts", "src/config.ts", true],
      ["src/control/main.ts", "src/control/accounts/a.ts", true],
      ["src/host/edge/a.ts", "src/control/store/a.ts", false],
      ["src/host/edge/a.ts", "src/host/capsules/a.ts", true],
      ["src/control/store/a.ts", "src/host/contract.ts", false],
      ["src/kernel/a.ts", "src/capsule/a.ts", false],
    ];
    for (const [from, to, allowed] of cases) assert.equal(refusal(from, to) === undefined, allowed, `${from} → ${to}`);
  });

  test("never go in circles", () => {
    assert.deepEqual(findCycle(), undefined);
  });

  test("name files that exist, with their endings", () => {
    const known = new Set([...sources, ...GENERATED]);
    assert.deepEqual(
      // What a runtime module imports is there when it runs, beside a tenant's modules.
      ours
        .filter(({ from, specifier }) => !known.has(specifier) && !from.startsWith("src/host/capsules/workerd/runtime/"))
        .map(({ from, specifier }) => `${from} → ${specifier}`),
      [],
    );
  });

  test("products lie in folders; beside them only product.ts and registry.ts", () => {
    assert.deepEqual(
      list("src/control/products/*.ts").filter((file) => !["product.ts", "registry.ts"].includes(basename(file))),
      [],
    );
  });

  test("every room of control has its place in the order", () => {
    assert.deepEqual(
      sources.filter((file) => file.startsWith("src/control/") && roomOf(file).rank === -1),
      [],
    );
  });

  test("the host never opens a database; the keeper's program, which is never part of it, opens the tenants'", () => {
    const databases = /^(kysely|pg|node:sqlite)(\/|$)/;
    const program = "src/host/capsules/keeper/program/";
    assert.deepEqual(
      ours.filter(({ from, specifier }) => !from.startsWith(program) && specifier.startsWith(program)),
      [],
    );
    assert.deepEqual(
      imports.filter(({ from, specifier }) => from.startsWith("src/host/") && !from.startsWith(program) && databases.test(specifier)),
      [],
    );
  });

  test("only config and the commands read the environment; mains hand it to config", () => {
    assert.deepEqual(
      sources.filter((file) => text(file).includes("process.env") && !MAINS.has(file) && !/^src\/(config\.ts|cli\/)/.test(file)),
      [],
    );
  });
});

describe("files", () => {
  const all = [...sources, ...list("test/*.ts", "test/**/*.test.ts", "bench/**/*.ts", "bin/*.js")].filter(
    (file, at, files) => files.indexOf(file) === at,
  );

  test("no barrels: index.ts only in a product's folder, and no export *", () => {
    const index = sources.filter((file) => /^index\.[jt]sx?$/.test(basename(file)));
    assert.deepEqual(
      index.filter((file) => dirname(dirname(file)) !== "src/control/products"),
      [],
    );
    assert.deepEqual(
      sources.filter((file) => /^export \*/m.test(text(file))),
      [],
    );
  });

  test("have kebab-case names that say what they hold", () => {
    assert.deepEqual(
      all.filter((file) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)+$/.test(basename(file))),
      [],
    );
    assert.deepEqual(
      all.filter((file) => /^(utils?|helpers?|managers?|services?|data)\./.test(basename(file))),
      [],
    );
  });

  test(`are at most ${MAX_LINES} lines long`, () => {
    const long = all.map((file) => ({ file, lines: text(file).split("\n").length - 1 })).filter(({ lines }) => lines > MAX_LINES);
    assert.deepEqual(long, []);
  });

  test("of the house open with a comment that states their invariant", () => {
    assert.deepEqual(
      sources.filter((file) => !/^(#![^\n]*\n)?(\/\/|\/\*)/.test(text(file))),
      [],
    );
  });
});
