import type { Timer } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { AcceptedCall } from '../../core/ports.ts';
import { GrpcStatus } from '../../wire/grpc/status.ts';
import type { Client } from './client.ts';
import type { Status } from './grpc-answer.ts';
import { HostLeg } from './host-leg.ts';
import { callHost } from './host-unary.ts';
import type { Hub } from './hub.ts';
import type { MessageSink } from './message-reader.ts';
import { emptyMessage } from './messages.ts';
import type { BufferShare } from './options.ts';
import { isAlive, pause, replay } from './replay.ts';
import { scrubIds } from './scrub.ts';

export interface HostSideEvents extends MessageSink {
  /** The first stream stands, or is being made for one that came back: the client's bytes may be read. */
  opened(): void;
  /** What had been written to the host is not answered any more. */
  lost(): void;
  /** A stream that did not come to stand is gone; the host may have sent something by it already. */
  dropped(): void;
  /** It stands, with all that the client had registered. */
  reached(): void;
  /** It is not reached for so long now that nobody waits for it any longer; it is still tried. */
  givenUp(): void;
  /** Bytes went one way or the other: credit is to be settled. */
  moved(): void;
  /** There will be none. */
  refused(status: Status): void;
}

/** Statuses that a second try would not change. */
const final: ReadonlySet<number> = new Set([
  GrpcStatus.permissionDenied,
  GrpcStatus.unauthenticated,
  GrpcStatus.unimplemented,
]);

/** The host's side of one client's channel: opened, lost, opened anew under a fresh id with all that was registered. */
export class HostSide {
  readonly #hub: Hub;
  readonly #client: Client;
  readonly #call: AcceptedCall;
  readonly #share: BufferShare;
  readonly #events: HostSideEvents;
  #state: 'opening' | 'open' | 'reaching' | 'closed' = 'opening';
  #leg: HostLeg | undefined;
  /** The host has shown that it is there: what breaks is healed, and not the client's to see. */
  #proved = false;
  /** While it is being opened: what was made there is not what is wanted any more. */
  #outdated = false;
  #sinceMs: number;
  #delayMs: number;
  #patience: Timer | undefined;
  readonly #waiting = new Set<(stands: boolean) => void>();

  constructor(hub: Hub, client: Client, call: AcceptedCall, share: BufferShare, events: HostSideEvents) {
    this.#hub = hub;
    this.#client = client;
    this.#call = call;
    this.#share = share;
    this.#events = events;
    this.#sinceMs = hub.ports.clock.monotonic();
    this.#delayMs = hub.options.firstRetryMs;
  }

  get leg(): HostLeg | undefined {
    return this.#leg;
  }

  get ready(): boolean {
    return this.#state === 'open';
  }

  get worthWaiting(): boolean {
    if (this.#state !== 'opening' && this.#state !== 'reaching') return false;
    return this.#hub.ports.clock.monotonic() - this.#sinceMs < this.#hub.options.healForMs;
  }

  /** For people. */
  get state(): string {
    return this.#state;
  }

  start(): void {
    if (this.#client.loose || this.#client.empty) void this.#openFirst();
    else {
      // It was here before: what it registered then is made anew.
      this.#proved = true;
      this.#beginReaching();
      this.#events.opened();
      void this.#reach(0);
    }
  }

  prove(): void {
    this.#proved = true;
  }

  settled(callback: (stands: boolean) => void): void {
    if (this.#state === 'open' || this.#state === 'closed') return callback(this.#state === 'open');
    if (!this.worthWaiting) return callback(false);
    this.#waiting.add(callback);
  }

  reopen(text: string): void {
    const leg = this.#leg;
    if (this.#state === 'opening' || this.#state === 'reaching') this.#outdated = true;
    if (this.#state !== 'open' || leg === undefined) return;
    this.#proved = true;
    leg.close();
    this.#lost(leg, { code: GrpcStatus.unavailable, text });
  }

  close(): void {
    this.#state = 'closed';
    this.#patience?.cancel();
    this.#leg?.close();
    this.#leg = undefined;
    this.#tell(false);
  }

  async #openFirst(): Promise<void> {
    // Registrations may have come before the channel: the id stays.
    const leg = this.#newLeg(this.#client.hostId);
    this.#leg = leg;
    try {
      await leg.open(this.#hub.ports.target, this.#call);
    } catch (error) {
      if (this.#state !== 'closed')
        this.#events.refused({ code: GrpcStatus.unavailable, text: messageOf(error) });
      return;
    }
    if (this.#state !== 'opening' || leg.gone) return;
    this.#client.loose = false;
    this.#stands();
    this.#events.opened();
    this.#events.reached();
    if (this.#outdated) return this.reopen('a registration is not permitted any more');
    await this.#probe(leg);
  }

  /** A host says nothing on a channel before it has a message for it: so it is asked something else. */
  async #probe(leg: HostLeg): Promise<void> {
    const { code } = await this.#callHost(leg.hostId, 'GetSubscriptions', emptyMessage);
    if (isAlive(code) && !leg.gone) this.prove();
  }

  #newLeg(hostId: string): HostLeg {
    const { options } = this.#hub;
    const leg: HostLeg = new HostLeg(
      hostId,
      {
        buffers: this.#share,
        maxMessageBytes: options.maxMessageBytes.down,
        slackBytes: options.maxRequestIdBytes,
      },
      {
        message: bytes => this.#events.message(bytes),
        skipped: (head, why) => this.#events.skipped(head, why),
        alive: () => this.prove(),
        arrived: () => {
          this.prove();
          this.#events.moved();
        },
        took: () => this.#events.moved(),
        lost: status => this.#lost(leg, status),
      },
    );
    return leg;
  }

  #lost(leg: HostLeg, status: Status): void {
    if (this.#leg !== leg || this.#state === 'closed') return;
    this.#leg = undefined;
    this.#client.epoch += 1;
    const scrubbed = { ...status, text: scrubIds(status.text) };
    if (!this.#proved || final.has(status.code)) return this.#events.refused(scrubbed);
    // While it is being reached, whoever does that notices by himself.
    if (this.#state === 'reaching') return;
    const stoodMs = this.#hub.ports.clock.monotonic() - this.#sinceMs;
    if (stoodMs >= this.#hub.options.maxRetryMs) this.#delayMs = this.#hub.options.firstRetryMs;
    const quick = this.#delayMs === this.#hub.options.firstRetryMs;
    this.#hub.ports.log.info(
      { principal: this.#client.principal, status: status.code, reason: scrubbed.text },
      'the host’s side of a channel is gone; it is opened anew',
    );
    this.#beginReaching();
    this.#events.lost();
    void this.#reach(quick ? 0 : this.#delayMs);
  }

  #beginReaching(): void {
    const { clock } = this.#hub.ports;
    this.#state = 'reaching';
    this.#sinceMs = clock.monotonic();
    this.#patience?.cancel();
    this.#patience = clock.after(this.#hub.options.healForMs, () => {
      this.#tell(false);
      this.#events.givenUp();
    });
  }

  async #reach(firstDelayMs: number): Promise<void> {
    const { clock } = this.#hub.ports;
    if (firstDelayMs > 0) await pause(clock, firstDelayMs);
    while (this.#state === 'reaching') {
      const stands = await this.#client.inTurn(Number.POSITIVE_INFINITY, () => this.#try());
      if (stands && this.#state === 'reaching') {
        this.#stands();
        this.#hub.ports.metrics.reopened(this.#hub.options.target);
        return this.#events.reached();
      }
      await pause(clock, this.#delayMs);
      this.#delayMs = Math.min(this.#delayMs * 2, this.#hub.options.maxRetryMs);
    }
  }

  async #try(): Promise<boolean> {
    if (this.#state !== 'reaching') return false;
    const { ports, options } = this.#hub;
    const client = this.#client;
    this.#outdated = false;
    const leg = this.#newLeg(client.freshHostId());
    this.#leg = leg;
    try {
      await leg.open(ports.target, this.#call);
    } catch (error) {
      ports.log.debug(
        { principal: client.principal, reason: messageOf(error) },
        'the host can’t be reached yet',
      );
      if (this.#leg === leg) this.#leg = undefined;
      return false;
    }
    const stands = await replay(client, {
      clock: ports.clock,
      healForMs: options.healForMs,
      retryMs: options.firstRetryMs,
      wanted: () => this.#state === 'reaching' && !leg.gone && !this.#outdated,
      call: (method, message) => this.#callHost(leg.hostId, method, message),
      onRefused: (what, status) => this.#refusedAnew(what, status),
    });
    if (stands && !leg.gone && !this.#outdated) return true;
    leg.close();
    if (this.#leg === leg) this.#leg = undefined;
    this.#events.dropped();
    return false;
  }

  #callHost(hostId: string, method: string, message: Uint8Array): Promise<Status> {
    const { ports, options } = this.#hub;
    return callHost(
      {
        clock: ports.clock,
        target: ports.target,
        buffers: this.#share,
        maxAnswerBytes: options.maxMessageBytes.down,
      },
      { call: this.#call, method, hostId, message, timeoutMs: options.unaryTimeoutMs },
    );
  }

  /** Somebody beside us has taken it in the meantime. */
  #refusedAnew(what: { readonly type: string } | { readonly subscription: string }, status: Status): void {
    const text = scrubIds(status.text);
    this.#hub.ports.log.warn(
      { principal: this.#client.principal, status: status.code, reason: text },
      'the host did not take a registration back',
    );
    if ('type' in what) this.#hub.disown(this.#client, what.type);
    else this.#hub.unsubscribe(this.#client, what.subscription);
    const name = 'type' in what ? `agent type ${what.type}` : `subscription ${what.subscription}`;
    this.#hub.notice(this.#client, {
      code: 'unavailable',
      text: `the host did not take ${scrubIds(name, [name])} back: ${text}`,
    });
  }

  #stands(): void {
    this.#state = 'open';
    this.#sinceMs = this.#hub.ports.clock.monotonic();
    this.#patience?.cancel();
    this.#tell(true);
  }

  #tell(stands: boolean): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const callback of waiting) callback(stands);
  }
}
