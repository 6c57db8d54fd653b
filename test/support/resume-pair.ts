import { randomBytes } from 'node:crypto';
import type { Clock } from '../../lib/core/clock.ts';
import type { LockwireError } from '../../lib/core/errors.ts';
import type { CloseReason } from '../../lib/core/session.ts';
import { type Admitted, acceptTunnel } from '../../lib/tunnel/handshake-accept.ts';
import { type Dialled, dialTunnel, type Resumption } from '../../lib/tunnel/handshake-dial.ts';
import { defaultTunnelLimits, type TunnelLimits } from '../../lib/tunnel/options.ts';
import type { TunnelSession } from '../../lib/tunnel/session.ts';
import type { SessionPorts } from '../../lib/tunnel/session-ports.ts';
import type { TunnelStream } from '../../lib/tunnel/stream.ts';
import { WindowPool } from '../../lib/tunnel/window-pool.ts';
import { type Cut, identity, ManualClock, makeInstanceKey, type PipeEnd, pipe } from './tunnel-pair.ts';

/** One end of a session that may change its connection. */
export interface ResumingEnd {
  readonly opened: TunnelStream[];
  readonly detached: CloseReason[];
  closed: CloseReason | undefined;
}

/** A client and a gateway, and as many connections between them as a test makes. */
export class ResumePair {
  readonly clock: Clock;
  readonly limits: TunnelLimits;
  readonly client: ResumingEnd = { opened: [], detached: [], closed: undefined };
  readonly gateway: ResumingEnd = { opened: [], detached: [], closed: undefined };
  readonly #clientKey = makeInstanceKey();
  readonly #gatewayKey = makeInstanceKey();
  readonly #cut: Cut;
  #onOpen: (stream: TunnelStream) => void;
  carriers: [PipeEnd, PipeEnd] = pipe();
  clientSession!: TunnelSession;
  gatewaySession!: TunnelSession;
  secret: Uint8Array = new Uint8Array();
  attempt = 0;

  constructor(
    options: {
      cut?: Cut;
      limits?: Partial<TunnelLimits>;
      clock?: Clock;
      onOpen?: (stream: TunnelStream) => void;
    } = {},
  ) {
    this.clock = options.clock ?? new ManualClock();
    this.limits = { ...defaultTunnelLimits, ...options.limits };
    this.#cut = options.cut ?? 'plain';
    this.#onOpen = options.onOpen ?? (stream => stream.accept());
  }

  #ports(end: ResumingEnd): SessionPorts {
    return {
      clock: this.clock,
      limits: this.limits,
      pool: new WindowPool(),
      onOpen: stream => {
        end.opened.push(stream);
        this.#onOpen(stream);
      },
      onNotice() {},
      onGoAway() {},
      onRenew: async () => ({ expiresAt: 1 }),
      onRenewed() {},
      onDetached: reason => end.detached.push(reason),
      onClosed: reason => {
        end.closed = reason;
      },
    };
  }

  /** One more connection, over which a session begins or, with `resume`, goes on. */
  async dial(
    resume?: Resumption,
    known: { session: TunnelSession; secret: Uint8Array } | null = {
      session: this.gatewaySession,
      secret: this.secret,
    },
  ): Promise<[PromiseSettledResult<Dialled>, PromiseSettledResult<Admitted>]> {
    const carriers = pipe(this.#cut);
    const exporter = randomBytes(32);
    const results = await Promise.allSettled([
      dialTunnel(
        carriers[0],
        {
          role: 'connect',
          target: '',
          token: 'a.b.c',
          instanceKey: this.#clientKey,
          exporter,
          certificateIssuer: 'CN=Test',
          software: 'test',
          ...(resume ? { resume } : {}),
        },
        this.#ports(this.client),
      ),
      acceptTunnel(
        carriers[1],
        {
          session: `s${randomBytes(4).toString('hex')}`,
          gatewayKey: this.#gatewayKey,
          instance: 'g',
          instances: 1,
          exporter,
        },
        async (_hello, asked) => ({ ...identity, ...(asked && known ? { resume: known } : {}) }),
        { clock: this.clock, limits: this.limits },
        () => this.#ports(this.gateway),
      ),
    ]);
    const [dialled, admitted] = results;
    if (dialled.status === 'fulfilled' && admitted.status === 'fulfilled') {
      this.carriers = carriers;
      this.clientSession = dialled.value.session;
      this.gatewaySession = admitted.value.session;
      if (!admitted.value.resumed) this.secret = admitted.value.secret;
    }
    return results;
  }

  async resume(): Promise<[PromiseSettledResult<Dialled>, PromiseSettledResult<Admitted>]> {
    this.attempt += 1;
    return await this.dial({ session: this.clientSession, secret: this.secret, attempt: this.attempt });
  }

  /** The connection breaks: each end sees a reset. */
  cut(): void {
    for (const carrier of this.carriers) carrier.breakOff();
  }
}

export function rejection(result: PromiseSettledResult<unknown>): LockwireError | undefined {
  return result.status === 'rejected' ? (result.reason as LockwireError) : undefined;
}
