// How much may wait for an end that does not read. High-water marks count bytes, and each write, however small, is
// some hundred bytes of ours: whoever sends byte by byte would fill this process's memory below every mark.

/** Writes to one stream that its far end has not taken. */
export const MAX_UNTAKEN_WRITES = 64;
