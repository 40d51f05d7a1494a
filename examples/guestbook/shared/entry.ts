// What the page and its Worker both know of an entry.

export type Entry = {
  readonly id: number;
  readonly name: string;
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly signedAt: number;
  readonly hearts: number;
};

export type EntryPage = {
  /** Newest first. */
  readonly entries: readonly Entry[];
  /** There are more, from before the last of these. */
  readonly hasOlder: boolean;
};

/** Longest texts, in characters. */
export const MAX_LENGTH = { name: 60, message: 1000 } as const;
