/** Named limits that more than one room obeys. A room's own limits stand in its `options.ts`. */

/** Longest token that is looked at: AutoGen's own header limit, 16 KiB (RFC 9113 section 6.5.2 calls it advisory). */
export const maxTokenBytes = 16_384;
/** Longest target name. */
export const maxTargetNameBytes = 128;
/** First and smallest receive window of a stream once it is open. */
export const baseWindowBytes = 65_536;
/** Chunks of an adaptive writer: a single write takes at most this. */
export const maxWriteBytes = 131_072;
/** Pending output from which an idle writer waits for the end of the current round of reads. */
export const deferFromBytes = 12_288;
