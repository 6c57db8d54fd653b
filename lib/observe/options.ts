/** Bounds of this room: each has a name, a default and a test. */

/** Longest text of one log field, in characters. */
export const maxLogValueChars = 512;
/** Longest message of a log line, in characters. */
export const maxLogMessageChars = 1024;
/** Fields of one line, and of one object in it; further ones are counted, not shown. */
export const maxLogFields = 40;
/** How deep a field's value is shown. */
export const maxLogDepth = 3;
/** Bytes of lines that wait for a slow reader of the log; beyond it lines are dropped and counted. */
export const maxLogQueueBytes = 1_048_576;
/** How long the end of a process waits for such a reader. */
export const logFlushTimeoutMs = 500;

/** Series of one metric; what comes after is counted under `other`. */
export const maxMetricSeries = 1000;

/** Keys whose rate is followed at a time; the oldest one goes. */
export const maxRateKeys = 1000;
/** Lines a minute for each key. */
export const linesPerMinute = 10;
/** Lines a minute for all keys together. */
export const totalLinesPerMinute = 600;

/** Admin connections at a time. */
export const maxAdminConnections = 64;
/** From the first byte of a request, or of a connection, to the end of its headers. */
export const adminHeadersTimeoutMs = 5000;
/** To the end of its body. */
export const adminRequestTimeoutMs = 10_000;
/** How long an idle connection may stay. */
export const adminIdleTimeoutMs = 5000;
/** Bytes of a request's headers. */
export const maxAdminHeaderBytes = 8192;
/** Bytes of a request’s body. */
export const maxAdminBodyBytes = 65_536;
/** Bytes of an answer that the command line reads. */
export const maxAdminAnswerBytes = 4_194_304;
/** Requests on one connection. */
export const maxRequestsPerConnection = 100;
/** How long the command line waits for a sign of life from the gateway. */
export const adminClientTimeoutMs = 30_000;
