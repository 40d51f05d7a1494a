// The book itself: the form, and the entries, newest first.
import { useCallback, useEffect, useState } from "react";
import type { Entry } from "../shared/entry.ts";
import { listEntries } from "./api.ts";
import { EntryCard } from "./entry-card.tsx";
import { Problem } from "./problem.tsx";
import { SignForm } from "./sign-form.tsx";

export function Book() {
  const [entries, setEntries] = useState<readonly Entry[]>();
  const [hasOlder, setHasOlder] = useState(false);
  const [error, setError] = useState<Error>();

  const load = useCallback(async (before?: number): Promise<void> => {
    try {
      const page = await listEntries(before);
      setEntries((shown) => (before === undefined ? page.entries : [...(shown ?? []), ...page.entries]));
      setHasOlder(page.hasOlder);
      setError(undefined);
    } catch (problem) {
      setError(problem as Error);
    }
  }, []);
  useEffect(() => void load(), [load]);

  const replace = (changed: Entry): void => setEntries((shown) => shown?.map((entry) => (entry.id === changed.id ? changed : entry)));
  return (
    <div className="book">
      <aside>
        <SignForm onSigned={(entry) => setEntries((shown) => [entry, ...(shown ?? [])])} />
      </aside>
      <section aria-label="Entries" aria-busy={entries === undefined && error === undefined}>
        {error && <Problem error={error} onRetry={() => void load()} />}
        {entries === undefined && !error && <Skeleton />}
        {entries?.length === 0 && <p className="empty">Nobody has signed yet. Be the first!</p>}
        <ol className="entries">
          {entries?.map((entry) => (
            <li key={entry.id}>
              <EntryCard entry={entry} onChange={replace} />
            </li>
          ))}
        </ol>
        {hasOlder && (
          <button type="button" className="quiet" onClick={() => void load(entries?.at(-1)?.id)}>
            Older entries
          </button>
        )}
      </section>
    </div>
  );
}

function Skeleton() {
  return (
    <div className="skeleton" aria-hidden="true">
      <div />
      <div />
      <div />
    </div>
  );
}
