import { randomUUID } from 'node:crypto';
import { LockwireError } from '../../core/errors.ts';
import type { AcceptedCall } from '../../core/ports.ts';
import { principalName } from '../../core/session.ts';
import { TokenBucket } from '../../core/token-bucket.ts';
import type { Status } from './grpc-answer.ts';
import type { Pieces, Subscription } from './messages.ts';
import type { AutogenOptions } from './options.ts';
import { Decisions } from './policy-questions.ts';
import type { Owner } from './registry.ts';

/** Notices to one client: so many at once, and so many a second. */
const noticeBurst = 5;
const noticesPerSecond = 1;

/** A client's OpenChannel while it lives. */
export interface LiveChannel {
  /** The host's side is being opened anew, not for so long yet that others should not wait for it. */
  readonly reaching: boolean;
  /** The host's side is open, with all that was registered. */
  readonly stands: boolean;
  /** It takes less than is sent to it. */
  readonly congested: boolean;
  readonly heldMessages: number;
  readonly heldBytes: number;
  /** An RpcResponse of the gateway's own. */
  answer(response: Pieces): void;
  /** Tells the sender once when it is congested no more, or gone. */
  whenEased(sender: LiveChannel): void;
  /** The sender does not wait for that any more. */
  forgetSender(sender: LiveChannel): void;
  /** One that it waited for takes again. */
  eased(other: LiveChannel): void;
  /** Held messages may go on. */
  flush(): void;
  /** The host answers: what breaks from here on is healed. */
  prove(): void;
  /** Calls back once the host's side stands, or after `healForMs`, with whether it does. */
  settled(callback: (stands: boolean) => void): void;
  /**
   * Opens the host's side anew: what was registered there and is not ours any more is gone with the old one. Where it is
   * being opened, that is begun once more.
   */
  reopen(text: string): void;
  finish(status: Status): void;
}

/** One AutoGen runtime: its own client-id, in one session of one principal. The host knows it by an id of ours. */
export class Client implements Owner {
  readonly principal: string;
  readonly session: string;
  readonly types: Set<string> = new Set();
  readonly subscriptions: Map<string, Subscription> = new Map();
  readonly decisions: Decisions;
  readonly notices: TokenBucket;
  /** The host's name for it. Fresh for each channel: the host's late cleanup of an old one hits only that. */
  hostId: string = randomUUID();
  channel: LiveChannel | undefined;
  /** Registered at the host while it had no channel there: nothing would clean that up. */
  loose = false;
  /** Rises when the host's side of its channel is lost, or the channel has ended. */
  epoch = 0;
  /** The latest of its calls: who it is now, and how it is reached. */
  call: AcceptedCall;
  /** Unary calls under way. */
  calls = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(call: AcceptedCall, options: AutogenOptions, nowMs: number) {
    this.call = call;
    this.principal = principalName(call.principal());
    this.session = call.session;
    this.decisions = new Decisions(options.target, options.decisions);
    this.notices = new TokenBucket(noticesPerSecond, noticeBurst, nowMs);
  }

  get connected(): boolean {
    return this.channel !== undefined;
  }

  /** Neither a channel nor a call nor anything registered. */
  get idle(): boolean {
    return this.channel === undefined && this.calls === 0;
  }

  get empty(): boolean {
    return this.types.size === 0 && this.subscriptions.size === 0;
  }

  freshHostId(): string {
    this.hostId = randomUUID();
    return this.hostId;
  }

  /** One after the other: what changes registrations, and their replay. Throws LockwireError `limit`. */
  inTurn<T>(maxWaiting: number, work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= maxWaiting)
      return Promise.reject(
        new LockwireError('limit', `${this.#waiting} calls of this worker wait, the most is ${maxWaiting}`),
      );
    this.#waiting += 1;
    const result = this.#turn.then(work);
    this.#turn = result.then(
      () => {
        this.#waiting -= 1;
      },
      () => {
        this.#waiting -= 1;
      },
    );
    return result;
  }
}
