// A refusal told in places of the author's own files: which bytes a frame's name stands for, and which map is theirs.
import type { Verdict } from "../../../capsule/messages.ts";
import type { Trial } from "../../../capsule/spec.ts";
import { mapStackOf } from "../source-maps/mapper-process.ts";

/** What a service-worker script is called whose name nobody told. */
const UNNAMED_SCRIPT = "worker.js";

export const scriptName = ({ sources }: Pick<Trial, "sources">): string => sources?.script ?? UNNAMED_SCRIPT;

/** The verdict as it came when it is none, or when its places cannot be told. */
export async function withPlaces(
  verdict: Verdict,
  trial: Trial,
  read: (hash: string) => Promise<Uint8Array>,
  over: AbortSignal,
): Promise<Verdict> {
  if (verdict.ok) return verdict;
  const { code } = trial.worker;
  const named =
    code.format === "modules"
      ? code.modules.map(({ name, source }) => ({ name, source }))
      : [{ name: scriptName(trial), source: code.source }];
  const modules = new Map(named.flatMap(({ name, source }) => ("hash" in source ? [[name, source.hash] as const] : [])));
  const maps = new Map(trial.sources?.maps.map(({ name, hash }) => [name, hash]));
  const files = { module: (name: string) => modules.get(name), map: (name: string) => maps.get(`${name}.map`), read };
  return { ...verdict, diagnostics: await mapStackOf(verdict.diagnostics, files, over) };
}
