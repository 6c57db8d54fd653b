/** Bounds of the store: each has a name, a default and a test. */

/** How long a statement waits for another process that writes. */
export const busyTimeoutMs = 2_000;
/** How often another process's writes are looked for. */
export const lookEveryMs = 250;
/** Revocations that are kept; those that ran out go first, then the next one is refused. */
export const maxRevocations = 10_000;
/** A token's revocation is kept until no token could still be alive: the longest `maxLifetime` that a config may ask for, and a day. */
export const tokenRevocationMs: number = 401 * 86_400_000;
/** Instances that are bound. */
export const maxEnrolments = 10_000;
/** One-time codes that are outstanding. */
export const maxCodes = 256;
export const codeLifeMs: number = 10 * 60_000;
/** Uses of a right code by the wrong bearer, after which it is void. */
export const maxCodeAttempts = 5;
/** Former keys of the gateway that are kept. */
export const maxKeptRotations = 64;
/** Longest reason of a revocation, in characters. */
export const maxReasonChars = 256;
