// One entry at an address of its own: https://…/entries/7 opens it directly, since every path that is no file is this page.
import { useCallback, useEffect, useState } from "react";
import type { Entry } from "../shared/entry.ts";
import { findEntry } from "./api.ts";
import { EntryCard } from "./entry-card.tsx";
import { Problem } from "./problem.tsx";
import { Link } from "./router.tsx";

export function EntryPage({ id }: { id: string }) {
  const [entry, setEntry] = useState<Entry>();
  const [error, setError] = useState<Error>();
  const load = useCallback(() => {
    setError(undefined);
    findEntry(id).then(setEntry, setError);
  }, [id]);
  useEffect(load, [load]);

  return (
    <section className="single">
      {error && <Problem error={error} onRetry={load} />}
      {entry && <EntryCard entry={entry} onChange={setEntry} />}
      <Link href="/">← All entries</Link>
    </section>
  );
}
