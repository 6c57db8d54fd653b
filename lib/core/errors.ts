/** Every code a Lockwire error can carry. Stable: tests, logs and peers rely on them. */
export const errorCodes: readonly [
  'config',
  'usage',
  'limit',
  'protocol',
  'unauthenticated',
  'denied',
  'unavailable',
  'intercepted',
  'timeout',
  'io',
  'tls',
  'closed',
] = [
  'config',
  'usage',
  'limit',
  'protocol',
  'unauthenticated',
  'denied',
  'unavailable',
  'intercepted',
  'timeout',
  'io',
  'tls',
  'closed',
];

export type ErrorCode = (typeof errorCodes)[number];

/** The one error class. The message gives the value and the limit and is safe to show to the peer's person. */
export class LockwireError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LockwireError';
    this.code = code;
  }
}

/** Our own bug, never a peer's fault. */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`internal error: ${what}`);
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a system or Lockwire error, or '' where it has none. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}
