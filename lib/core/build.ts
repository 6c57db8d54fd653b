/** This build: `package.json` has the same version, a test sees to it. */
export const version = '0.1.0';

/** A clock that is earlier than this is wrong: no date can be judged by it. */
export const builtAtMs: number = Date.UTC(2026, 10, 24);
