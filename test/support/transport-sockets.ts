import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Carrier } from '../../lib/core/ports.ts';

/** What a carrier delivered, as promises and plain data. */
export class CarrierProbe {
  readonly carrier: Carrier;
  readonly chunks: Buffer[] = [];
  readonly ended: Promise<void>;
  readonly closed: Promise<Error | undefined>;
  closedCount = 0;
  bytes = 0;
  #wanted: { bytes: number; resolve: () => void } | undefined;

  constructor(carrier: Carrier) {
    this.carrier = carrier;
    const ended = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<Error | undefined>();
    this.ended = ended.promise;
    this.closed = closed.promise;
    carrier.start({
      data: chunk => {
        this.chunks.push(Buffer.from(chunk));
        this.bytes += chunk.byteLength;
        if (this.#wanted && this.bytes >= this.#wanted.bytes) this.#wanted.resolve();
      },
      end: () => ended.resolve(),
      closed: error => {
        this.closedCount += 1;
        closed.resolve(error);
      },
    });
  }

  text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  /** Resolves once so many bytes have come in all. */
  received(bytes: number): Promise<void> {
    if (this.bytes >= bytes) return Promise.resolve();
    return new Promise(resolve => {
      this.#wanted = { bytes, resolve };
    });
  }

  write(text: string | Uint8Array): Promise<void> {
    const chunk = typeof text === 'string' ? Buffer.from(text) : text;
    return new Promise(resolve => this.carrier.write([chunk], resolve));
  }
}

/** Both ends of one TCP connection over loopback, half-open allowed. */
export async function tcpPair(): Promise<{ near: Socket; far: Socket; close: () => void }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const { port } = server.address() as AddressInfo;
  const near = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  return {
    near,
    far,
    close() {
      near.destroy();
      far.destroy();
      server.close();
    },
  };
}
