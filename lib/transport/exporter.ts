import type { TLSSocket } from 'node:tls';
import { LockwireError } from '../core/errors.ts';

/** RFC 5705 and RFC 8446 section 7.5: what both ends of one connection, and nobody else, can compute. */
const exporterLabel = 'EXPORTER-lockwire-v1';
const exporterBytes = 32;

/** Throws `closed` where the connection is gone, and its secrets with it. */
export function exporterOf(socket: TLSSocket): Uint8Array {
  try {
    return socket.exportKeyingMaterial(exporterBytes, exporterLabel, Buffer.alloc(0));
  } catch (error) {
    throw new LockwireError('closed', 'the TLS connection is gone, so nothing can be bound to it', {
      cause: error,
    });
  }
}
