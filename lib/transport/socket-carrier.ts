import type { Socket } from 'node:net';
import { setDefaultHighWaterMark } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Carrier, CarrierEvents } from '../core/ports.ts';

// A paused socket goes on reading until its own buffer is this full, and a TLS server gives no way to set it for one
// socket. With Node's 64 KiB a stuck stream holds twice as much, and nothing is gained: what flows is never kept there.
setDefaultHighWaterMark(false, 16_384);

/**
 * A socket as a carrier: TCP, unix or TLS. The socket must have been made with `allowHalfOpen`, else Node ends the
 * writing side by itself when the peer half-closes. From here on the carrier is the socket's only user.
 *
 * Until `start` the socket is paused: what arrives early waits in its own buffer (16 KiB
 * and one read), then in the kernel's.
 */
export class SocketCarrier implements Carrier {
  readonly #socket: Socket;
  /** The TCP socket that bears the bytes, where it can be reset. */
  readonly #transport: Socket | undefined;
  #events: CarrierEvents | undefined;
  #error: Error | undefined;
  /** Bytes that may still come before `#exceeded` is called. */
  #allowance: number = Number.POSITIVE_INFINITY;
  #exceeded: (() => void) | undefined;
  #paused = false;
  #ended = false;
  #peerEnded = false;
  #destroyed = false;
  #closed = false;

  /** `transport` is the TCP socket under a TLS socket, where the caller has it: only that one can be reset. */
  constructor(socket: Socket, transport?: Socket) {
    this.#socket = socket;
    this.#transport = transport ?? (socket instanceof TLSSocket ? undefined : socket);
    socket.pause();
    socket.setNoDelay(true);
    socket.on('error', error => {
      this.#error ??= error;
    });
    socket.once('close', () => this.#close());
    if (socket.closed) this.#close();
  }

  start(events: CarrierEvents): void {
    if (this.#events) throw new Error('internal error: a carrier is started once');
    this.#events = events;
    if (this.#closed) {
      // Never from inside `start`: the owner is still being put together there.
      process.nextTick(() => events.closed(this.#closeError()));
      return;
    }
    this.#socket.on('data', chunk => this.#received(chunk as Buffer));
    this.#socket.once('end', () => {
      this.#peerEnded = true;
      events.end();
    });
    if (!this.#paused) this.#socket.resume();
  }

  /** Delivers at most so many bytes more; then none, and `exceeded` is called. Infinity lifts an earlier limit. */
  limit(maxBytes: number, exceeded?: () => void): void {
    this.#allowance = maxBytes;
    this.#exceeded = exceeded;
  }

  write(chunks: readonly Uint8Array[], done: () => void): void {
    const last = chunks.length - 1;
    const flushed = (error?: Error | null): void => {
      if (!error && !this.#closed) done();
    };
    if (last <= 0) {
      this.#socket.write(chunks[0] ?? new Uint8Array(0), flushed);
      return;
    }
    this.#socket.cork();
    for (let i = 0; i < last; i += 1) this.#socket.write(chunks[i] as Uint8Array);
    this.#socket.write(chunks[last] as Uint8Array, flushed);
    this.#socket.uncork();
  }

  end(): void {
    if (this.#ended || this.#destroyed) return;
    this.#ended = true;
    this.#socket.end();
  }

  destroy(abort = false): void {
    if (this.#destroyed || this.#closed) return;
    this.#destroyed = true;
    if (abort) this.#reset();
    // Under a TLS socket the reset leaves no handle, and Node then frees the TLS state at once: in the middle of a
    // handshake's last callback that takes the process down (SIGSEGV). Nothing of it is on the stack in an immediate.
    if (abort && this.#socket !== this.#transport) setImmediate(() => this.#socket.destroy());
    else this.#socket.destroy();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#events) this.#socket.resume();
  }

  #received(chunk: Buffer): void {
    this.#allowance -= chunk.byteLength;
    if (this.#allowance >= 0) this.#events?.data(chunk);
    else this.#exceeded?.();
  }

  /** RST, so that the peer can't take what it has for the whole. A unix socket has none. */
  #reset(): void {
    try {
      this.#transport?.resetAndDestroy();
    } catch {
      // ERR_INVALID_HANDLE_TYPE: a unix socket. The destroy that follows is all there is.
    }
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#events?.closed(this.#closeError());
  }

  #closeError(): Error | undefined {
    if (this.#error || this.#destroyed || (this.#ended && this.#peerEnded)) return this.#error;
    return new Error('connection closed before its end');
  }
}
