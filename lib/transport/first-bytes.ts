import type { Socket } from 'node:net';
import { type ClientHello, parseClientHello } from '../wire/client-hello.ts';

export type Complete = Extract<ClientHello, { state: 'complete' }>;

export type FirstBytes =
  | { readonly kind: 'tls'; readonly hello: Complete }
  /** A request in plain, or the HTTP/2 preface. */
  | { readonly kind: 'http' }
  | { readonly kind: 'rubbish'; readonly reason: string };

/**
 * Looks at a connection's first bytes until they say what it is. A TLS connection's bytes are put back, so the TLS
 * library reads them anew. Nothing is decided where the connection ends first: its close tells.
 */
export function readFirstBytes(socket: Socket, maxBytes: number, decided: (found: FirstBytes) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let wanted = 1;
  const stop = (found: FirstBytes): void => {
    socket.off('data', look);
    socket.pause();
    if (found.kind === 'tls') socket.unshift(join(chunks));
    decided(found);
  };
  const look = (chunk: Buffer): void => {
    chunks.push(chunk);
    bytes += chunk.length;
    // The parser says how much it needs, so a client that dribbles doesn't have it begin anew with each byte.
    if (bytes < wanted) return;
    const found = classify(join(chunks));
    if (typeof found !== 'number') stop(found);
    else if (found <= maxBytes) wanted = found;
    else
      stop({ kind: 'rubbish', reason: `a ClientHello of ${found} bytes or more, the limit is ${maxBytes}` });
  };
  socket.on('data', look);
}

function join(chunks: readonly Buffer[]): Buffer {
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

/** A number: so many bytes in all are needed to tell. */
function classify(bytes: Buffer): FirstBytes | number {
  const first = bytes[0] ?? 0;
  // Methods in use are upper-case letters (RFC 9110 section 9.3); the HTTP/2 preface starts like one (RFC 9113 section 3.4).
  if (first >= 0x41 && first <= 0x5a) return classifyText(bytes);
  const hello = parseClientHello(bytes);
  if (hello.state === 'partial') return hello.bytes;
  return hello.state === 'complete' ? { kind: 'tls', hello } : { kind: 'rubbish', reason: hello.reason };
}

const longestMethod = 17;

function classifyText(bytes: Buffer): FirstBytes | number {
  const text = bytes.toString('latin1', 0, longestMethod + 1);
  if (/^[A-Z]{3,17} /.test(text)) return { kind: 'http' };
  if (/^[A-Z]{1,17}$/.test(text)) return bytes.length + 1;
  return { kind: 'rubbish', reason: 'neither TLS nor HTTP' };
}
