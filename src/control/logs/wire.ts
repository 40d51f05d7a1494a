// Records, minutes and streams as they leave: times in RFC 3339, snake_case, units in the names.
import type { FollowLine, LogPage, LogRecord, MetricsMinute, MetricsQuery } from "../../capsule/logs.ts";
import { iso } from "../../kernel/clock.ts";

export function recordOnWire(record: LogRecord): Record<string, unknown> {
  const { kind, atMs, worker, version } = record;
  const head = { kind, at: iso(atMs), worker, version, ray: record.kind === "notice" ? null : record.ray };
  switch (record.kind) {
    case "request": {
      const { method, url, status, outcome, wallMs, cpuMs } = record;
      // No status is no answer, which 0 would not tell.
      return { ...head, method, url, status: status === 0 ? null : status, outcome, wall_ms: wallMs, cpu_ms: cpuMs };
    }
    case "invocation":
      return { ...head, trigger: record.trigger, outcome: record.outcome };
    case "console":
      return { ...head, level: record.level, text: record.text };
    case "exception":
      return { ...head, name: record.name, message: record.message, stack: record.stack };
    case "notice":
      return { ...head, text: record.text };
    default:
      return record satisfies never;
  }
}

/** What a caller must know of records that are not there; null when there are none. */
export function droppedOnWire({ dropped }: LogPage): string | null {
  if (dropped === null) return null;
  return (
    `${dropped.records} records, up to ${iso(dropped.untilMs)}, are not in the account's log, which is bounded: they gave way to newer ones, or came too fast. ` +
    "Log less or shorter lines, or follow the log while it is written; the bound is the operator's (MAYFLY_LOG_BYTES)."
  );
}

/** An event's name and its JSON. */
export function eventOnWire(line: FollowLine): { readonly event: string; readonly data: unknown } {
  return { event: line.kind, data: line.kind === "missed" ? { records: line.records } : recordOnWire(line) };
}

/** Minutes by Worker, oldest first, and the CPU time of the process that runs them all. */
export function metricsOnWire(minutes: readonly MetricsMinute[], { sinceMs, untilMs }: MetricsQuery): Record<string, unknown> {
  const inOrder = minutes.toSorted((one, other) => one.atMs - other.atMs);
  const byWorker = Map.groupBy(inOrder, ({ worker }) => worker);
  const workers = [...byWorker].flatMap(([worker, of]) =>
    worker === null
      ? []
      : [
          {
            worker,
            minutes: of.map(({ atMs, requests, errors, cpuMs, wallMs }) => ({
              at: iso(atMs),
              requests,
              errors,
              cpu_ms: cpuMs,
              wall_ms: wallMs,
            })),
          },
        ],
  );
  const process = (byWorker.get(null) ?? []).map(({ atMs, cpuMs }) => ({ at: iso(atMs), cpu_ms: cpuMs }));
  return { since: iso(sinceMs), until: iso(untilMs), workers, process };
}
