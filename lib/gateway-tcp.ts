import { BufferedStream } from './core/buffered-stream.ts';
import type { Clock } from './core/clock.ts';
import { LockwireError, messageOf } from './core/errors.ts';
import type { AcceptedConnection, Authenticator, ByteStream, Log, Metrics } from './core/ports.ts';
import type { Identity } from './core/session.ts';
import { Expiry } from './gateway-expiry.ts';
import type { Joiner } from './gateway-joiner.ts';
import { fingerprintOf, type Judge } from './gateway-judge.ts';
import type { LiveDirect, LiveSessions } from './gateway-live.ts';
import { RefusedHello } from './tunnel/refused-hello.ts';

export interface TcpDoorPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly authenticator: Authenticator;
  readonly joiner: Joiner;
  readonly judge: Judge;
  readonly live: LiveSessions;
}

/** Where clients of `protocol: tcp` targets come in: their certificate is who they are. */
export class TcpDoor {
  readonly #ports: TcpDoorPorts;
  readonly #refusals: { add(): void };

  constructor(ports: TcpDoorPorts) {
    this.#ports = ports;
    const help = 'Connections to TCP targets refused for their certificate.';
    this.#refusals = ports.metrics.counter('lockwire_certificate_refusals_total', help);
  }

  async enter(connection: AcceptedConnection, target: string): Promise<void> {
    const { facts, carrier } = connection;
    const fingerprints = connection.certificates.map(fingerprintOf);
    let identity: Identity;
    try {
      if (connection.certificates.length === 0)
        throw new LockwireError('unauthenticated', 'no client certificate');
      identity = this.#ports.authenticator.certificate(connection.certificates);
      this.#ports.judge.admit({ identity, instance: '', certificates: fingerprints });
    } catch (error) {
      // What is revoked was real once: it must not cost its neighbours behind the same address theirs.
      if (!(error instanceof RefusedHello)) connection.failed();
      this.#refusals.add();
      const fields = { session: facts.session, peer: facts.peerAddress, listener: facts.listener, target };
      this.#ports.log.warn({ ...fields, detail: messageOf(error) }, 'connection refused');
      carrier.start({ data() {}, end() {}, closed() {} });
      carrier.destroy(true);
      return;
    }
    const stream: ByteStream = new BufferedStream(carrier);
    const expiry = new Expiry(this.#ports.clock, () =>
      stream.reset({ code: 'expired', text: 'the client certificate ran out' }),
    );
    expiry.watch(identity.credential.expiresAtMs);
    const direct: LiveDirect = {
      session: facts.session,
      instance: '',
      certificates: fingerprints,
      identity,
      verify: async () => this.#ports.authenticator.certificate(connection.certificates),
      close: reason => stream.reset(reason),
    };
    const { live } = this.#ports;
    live.direct.add(direct);
    const over = (): void => {
      expiry.cancel();
      live.direct.delete(direct);
    };
    await this.#ports.joiner.join({ ...facts, ...identity }, target, {
      stream,
      ingress: 'loopback',
      identity: () => direct.identity,
      permitted: () => connection.permitted(),
      accept() {},
      notice() {},
      refused: over,
      closed: over,
    });
  }
}
