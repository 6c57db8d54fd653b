import { grpcPrefixBytes, writeGrpcPrefix } from '../../lib/wire/grpc/envelope.ts';

/** A gRPC message on the wire. */
export function framed(message: Uint8Array, compressed = false): Uint8Array {
  const out = Buffer.alloc(grpcPrefixBytes + message.byteLength);
  out.set(message, writeGrpcPrefix(out, 0, compressed, message.byteLength));
  return out;
}
