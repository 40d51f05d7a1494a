// Makes a failing input smaller for as long as it fails in the same way: header by header, then the body by halves.
import { ask, filled, type Failure, type Options } from "./campaign.ts";
import { toBytes, type Draft, type Input } from "./input.ts";
import { judge } from "./judge.ts";
import { makeInput } from "./kinds.ts";
import { Random } from "./random.ts";
import { valuesFor, type Scene } from "./scene.ts";

const MOST_TRIES = 150;

function* smaller(draft: Draft): Generator<Draft> {
  for (const at of draft.headers.keys()) yield { ...draft, headers: draft.headers.toSpliced(at, 1) };
  for (let size = Math.ceil(draft.body.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < draft.body.length; at += size) yield { ...draft, body: draft.body.slice(0, at) + draft.body.slice(at + size) };
  }
  const [path = "", query] = draft.path.split("?");
  if (query !== undefined) yield { ...draft, path };
}

/** @returns the smallest bytes found; says so where the input does not fail alone */
export async function shrink(scene: Scene, { index, problem }: Failure, { seed, only }: Options): Promise<string> {
  if (index < 0) return "not of one input";
  const input = makeInput(new Random(seed, index), only);
  if (input.kind === "tails") return "not tried: a tail is opened once";
  const fails = async (candidate: Input): Promise<boolean> => {
    await scene.refresh(index % scene.players.length, false);
    const concrete = filled(candidate, valuesFor(scene, index));
    return judge({ input: concrete, answer: await ask(scene, concrete), owners: new Map() }) === problem;
  };
  if (!(await fails(input))) return "it does not fail alone: it needs what came before";
  let best = input.draft;
  let tries = 0;
  const next = async (): Promise<Draft | null> => {
    for (const draft of smaller(best)) {
      if (tries++ >= MOST_TRIES) return null;
      if (await fails({ ...input, draft })) return draft;
    }
    return null;
  };
  for (let found = await next(); found !== null; found = await next()) best = found;
  return toBytes(best).slice(0, 2000);
}
