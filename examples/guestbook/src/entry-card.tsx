import { useState, type CSSProperties } from "react";
import type { Entry } from "../shared/entry.ts";
import { addHeart } from "./api.ts";
import { Link } from "./router.tsx";
import { ago } from "./time.ts";

/** A colour that stays with a name. */
function hueOf(name: string): number {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 360;
  return hash;
}

export function EntryCard({ entry, onChange }: { entry: Entry; onChange: (entry: Entry) => void }) {
  const [failed, setFailed] = useState(false);
  const like = (): void => {
    addHeart(entry.id).then(
      (changed) => {
        setFailed(false);
        onChange(changed);
      },
      () => setFailed(true),
    );
  };
  const at = new Date(entry.signedAt);
  return (
    <article className="card entry" style={{ "--hue": hueOf(entry.name) } as CSSProperties}>
      <span className="avatar" aria-hidden="true">
        {[...entry.name][0]?.toUpperCase()}
      </span>
      <header>
        <strong>{entry.name}</strong>
        <Link href={`/entries/${entry.id}`}>
          <time dateTime={at.toISOString()} title={at.toLocaleString()}>
            {ago(entry.signedAt)}
          </time>
        </Link>
      </header>
      <p className="message">{entry.message}</p>
      <button type="button" className="heart" onClick={like} aria-label={`Like, ${entry.hearts} so far`}>
        <span aria-hidden="true">{entry.hearts > 0 ? "♥" : "♡"}</span> {entry.hearts}
      </button>
      {failed && <small role="alert">That did not work. Try again?</small>}
    </article>
  );
}
