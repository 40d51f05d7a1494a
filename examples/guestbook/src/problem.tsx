export function Problem({ error, onRetry }: { error: Error; onRetry: () => void }) {
  return (
    <div role="alert" className="problem">
      <p>{error.message}</p>
      <button type="button" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}
