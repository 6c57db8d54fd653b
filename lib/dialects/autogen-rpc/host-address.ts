import type { AcceptedCall, CallField, CallTarget } from '../../core/ports.ts';
import { field } from './grpc-answer.ts';

export const servicePath = '/agents.AgentRpc/';

/** What belongs to the client's own leg, or names it. The host is never asked to compress: we could not look into it. */
const notOurs = new Set([
  'client-id',
  'content-type',
  'content-length',
  'te',
  'grpc-timeout',
  'grpc-encoding',
  'grpc-accept-encoding',
]);

/** The header section of a call to the host: the client's, but with the id that was minted for it. */
export function hostHeaders(
  target: CallTarget,
  call: AcceptedCall,
  method: string,
  hostId: string,
): readonly CallField[] {
  const { scheme, authority } = target.address(call);
  return [
    field(':method', 'POST'),
    field(':scheme', scheme),
    field(':path', `${servicePath}${method}`),
    field(':authority', authority),
    field('te', 'trailers'),
    field('content-type', 'application/grpc'),
    field('client-id', hostId),
    ...call.fields.filter(f => !f.name.startsWith(':') && !notOurs.has(f.name)),
  ];
}
