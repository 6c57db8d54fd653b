/** How the encoder writes a field that stands in no table: into the table, beside it, or so that nobody may index it. */
export type Treatment = 'index' | 'literal' | 'never';

/** Credentials: a guess at one must not show in the length of a block (RFC 7541 7.1). */
const never = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'api-key',
  'x-api-key',
  'x-goog-api-key',
];

/** What is another in nearly each message: it would push out of the table what returns. */
const literal = [
  // Deadlines and traces.
  'grpc-timeout',
  'traceparent',
  'tracestate',
  'baggage',
  'grpc-trace-bin',
  'grpc-tags-bin',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-cloud-trace-context',
  'x-datadog-trace-id',
  'x-datadog-parent-id',
  'x-request-id',
  'x-correlation-id',
  'request-id',
  'idempotency-key',
  // Lengths, times, places.
  'content-length',
  'content-range',
  'range',
  'date',
  'age',
  'expires',
  'last-modified',
  'if-modified-since',
  'if-unmodified-since',
  'etag',
  'if-match',
  'if-none-match',
  'if-range',
  'location',
  'referer',
  'retry-after',
  // Messages for people.
  'grpc-message',
  'grpc-status-details-bin',
];

const byName: ReadonlyMap<string, Treatment> = new Map<string, Treatment>([
  ...never.map(name => [name, 'never'] as const),
  ...literal.map(name => [name, 'literal'] as const),
]);

/** By name alone; any field that says it is sensitive is never indexed. */
export function treatmentOf(name: string): Treatment {
  return byName.get(name) ?? 'index';
}
