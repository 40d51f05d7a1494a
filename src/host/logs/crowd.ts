// What the accounts of this host share where each has its own: the more there are, the less is one's.

export type Crowd = {
  /** Processes whose tail events bring so much that they share what may be read of them. */
  heavy: number;
  /** Streams to readers, which share the memory of what waits to be read. */
  readers: number;
};
