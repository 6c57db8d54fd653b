import { randomBytes } from 'node:crypto';
import { LockwireError } from '../../lib/core/errors.ts';
import type { DialledConnection, InstanceKey, Log, LogFields } from '../../lib/core/ports.ts';
import { defaultRedial, TunnelClient } from '../../lib/tunnel/client.ts';
import { acceptTunnel } from '../../lib/tunnel/handshake-accept.ts';
import { type InstanceCount, InstanceKeeper, type InstanceLimits } from '../../lib/tunnel/instances.ts';
import { defaultTunnelLimits, exposeLimits, type TunnelLimits } from '../../lib/tunnel/options.ts';
import type { TunnelSession } from '../../lib/tunnel/session.ts';
import type { SessionPorts } from '../../lib/tunnel/session-ports.ts';
import { WindowPool } from '../../lib/tunnel/window-pool.ts';
import { identity, ManualClock, makeInstanceKey, type PipeEnd, pipe, quiet } from './tunnel-pair.ts';

const limits: TunnelLimits = { ...defaultTunnelLimits, ...exposeLimits };

/** A gateway process, with what it does to the sessions of a key that comes anew. */
export class SimGateway {
  readonly name: string;
  /** Behind the balancer; else it is not there. */
  up = true;
  instances: number;
  /** Hellos that it judged, whatever came of them. */
  hellos = 0;
  /** Sessions that a fresh Hello of their own key ended. */
  replaced = 0;
  refuses: string | undefined;
  readonly renewals: string[] = [];
  sessions: TunnelSession[] = [];
  carriers: PipeEnd[] = [];
  readonly #key = makeInstanceKey();
  readonly #known = new Map<string, { session: TunnelSession; secret: Uint8Array }>();
  /** Whose instance key, in hex. */
  readonly #owners = new Map<TunnelSession, string>();
  readonly #clock: ManualClock;

  constructor(name: string, instances: number, clock: ManualClock) {
    this.name = name;
    this.instances = instances;
    this.#clock = clock;
  }

  /** The session that serves, where there is one. */
  get live(): TunnelSession | undefined {
    return this.sessions.find(({ state, attached }) => state === 'open' && attached);
  }

  /** Its process is gone, and every connection with it. */
  kill(): void {
    this.up = false;
    this.#known.clear();
    this.cut();
  }

  cut(): void {
    for (const carrier of this.carriers) {
      carrier.breakOff();
      carrier.peer?.breakOff();
    }
    this.carriers = [];
  }

  drain(): void {
    this.up = false;
    for (const session of this.sessions) session.drain({ code: 'shutdown', text: 'stopping' });
  }

  tell(instances: number): void {
    this.instances = instances;
    for (const session of this.sessions) session.tellInstances(instances);
  }

  async accept(carrier: PipeEnd, exporter: Uint8Array): Promise<void> {
    this.carriers.push(carrier);
    const session = `${this.name}-${randomBytes(4).toString('hex')}`;
    const { instances } = this;
    try {
      const admitted = await acceptTunnel(
        carrier,
        { session, gatewayKey: this.#key, instance: this.name, instances, exporter },
        async (hello, resume) => {
          this.hellos += 1;
          if (this.refuses !== undefined) throw new LockwireError('denied', this.refuses);
          const known = resume && this.#known.get(resume.session);
          if (known) return { ...identity, resume: known };
          const key = Buffer.from(hello.instanceKey).toString('hex');
          for (const [other, owner] of this.#owners) {
            if (owner !== key || other.state !== 'open') continue;
            this.replaced += 1;
            other.close({ code: 'replaced', text: 'came anew' });
          }
          return identity;
        },
        { clock: this.#clock, limits },
        () => this.#ports(session),
      );
      if (admitted.resumed) return;
      this.#known.set(session, admitted);
      this.sessions.push(admitted.session);
      this.#owners.set(admitted.session, Buffer.from(admitted.hello.instanceKey).toString('hex'));
    } catch {
      // The client hears of it, or left by itself.
    }
  }

  #ports(id: string): SessionPorts {
    return {
      clock: this.#clock,
      limits,
      pool: new WindowPool(),
      onOpen() {},
      onNotice() {},
      onGoAway() {},
      onRenew: async token => {
        this.renewals.push(token);
        return { expiresAt: 1_900_000_000_000 };
      },
      onRenewed() {},
      onDetached() {},
      onClosed: () => this.#known.delete(id),
    };
  }
}

/** A keeper, and gateway processes behind one address. */
export class InstancesWorld {
  readonly clock: ManualClock = new ManualClock();
  readonly keeper: InstanceKeeper;
  gateways: SimGateway[] = [];
  /** Of each dial, when it came, and where it landed. */
  readonly dials: { readonly atMs: number; readonly on: string }[] = [];
  readonly down: LockwireError[] = [];
  readonly logged: { readonly level: string; readonly message: string; readonly fields: LogFields }[] = [];
  /** Which of those that are up the balancer chooses; in turn where absent. */
  choose: ((up: readonly SimGateway[]) => SimGateway | undefined) | undefined;
  token = 'a.b.c';
  #turn = 0;
  readonly instanceKey: InstanceKey;

  constructor(
    names: readonly string[],
    instances: number = names.length,
    own?: InstanceLimits,
    instanceKey: InstanceKey = makeInstanceKey(),
  ) {
    this.instanceKey = instanceKey;
    this.gateways = names.map(name => new SimGateway(name, instances, this.clock));
    const log = this.#log();
    this.keeper = new InstanceKeeper(
      {
        clock: this.clock,
        log,
        makeClient: kept =>
          new TunnelClient(
            {
              ...defaultRedial,
              role: 'expose',
              target: 'autogen',
              instanceKey,
              software: 'test',
            },
            {
              clock: this.clock,
              log,
              limits,
              pool: new WindowPool(),
              claims: kept.claims,
              onInstances: kept.onInstances,
              dial: () => this.#dial(),
              token: async () => this.token,
              onOpen: stream => {
                stream.accept();
                stream.start({
                  data: chunk => {
                    stream.write(chunk);
                    stream.consume(chunk.byteLength);
                  },
                  end: () => stream.end(),
                  flushed() {},
                  closed() {},
                });
              },
              onNotice() {},
              onUp: kept.onUp,
              onResumed() {},
              onDown: error => this.down.push(error),
            },
          ),
      },
      own,
    );
  }

  async start(): Promise<void> {
    this.keeper.startPatiently();
    await quiet();
  }

  get count(): InstanceCount {
    return this.keeper.count;
  }

  gateway(name: string): SimGateway {
    const found = this.gateways.find(gateway => gateway.name === name);
    if (found === undefined) throw new Error(`no gateway ${name}`);
    return found;
  }

  /** One more process, as after a restart. */
  add(name: string, instances: number): SimGateway {
    const gateway = new SimGateway(name, instances, this.clock);
    this.gateways.push(gateway);
    return gateway;
  }

  dialsSince(atMs: number): number {
    return this.dials.filter(dial => dial.atMs >= atMs).length;
  }

  async pass(ms: number, stepMs = 50): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(stepMs, left));
      await quiet(6);
    }
  }

  async #dial(): Promise<DialledConnection> {
    const up = this.gateways.filter(gateway => gateway.up);
    this.#turn += 1;
    const gateway = this.choose ? this.choose(up) : up[this.#turn % Math.max(1, up.length)];
    this.dials.push({ atMs: this.clock.monotonic(), on: gateway?.name ?? '' });
    // As a balancer that has nobody to give it to.
    if (gateway === undefined) throw new LockwireError('unavailable', 'the gateway closed the connection');
    const [near, far] = pipe();
    const exporter = randomBytes(32);
    void gateway.accept(far, exporter);
    return {
      carrier: near,
      exporter: () => exporter,
      facts: { version: 'TLSv1.3', cipher: '', resumed: false },
    };
  }

  #log(): Log {
    const keep =
      (level: string) =>
      (fields: LogFields, message: string): void => {
        this.logged.push({ level, message, fields });
      };
    const log: Log = {
      debug: keep('debug'),
      info: keep('info'),
      warn: keep('warn'),
      error: keep('error'),
      child: () => log,
    };
    return log;
  }
}
