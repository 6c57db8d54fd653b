import type { Clock } from '../../core/clock.ts';
import { encodeRegisterAgentRequest } from '../../wire/autogen/unary.ts';
import { GrpcStatus } from '../../wire/grpc/status.ts';
import type { Client } from './client.ts';
import type { Status } from './grpc-answer.ts';
import { emptyMessage, writeAddition } from './messages.ts';

export interface ReplayPorts {
  readonly clock: Clock;
  readonly healForMs: number;
  readonly retryMs: number;
  call(method: string, message: Uint8Array): Promise<Status>;
  /** Whether it is still wanted: its channel stands, on both sides. */
  wanted(): boolean;
  /** The host will not have it again: so the client has it no more. */
  onRefused(what: { readonly type: string } | { readonly subscription: string }, status: Status): void;
}

/** Registrations that are made anew at a time. */
const atATime = 16;

/**
 * Registers anew what a client has, under its fresh id: agent types, then subscriptions. The host refuses them
 * (INVALID_ARGUMENT) until it has cleaned up after the old channel. False where the host is gone again.
 */
export async function replay(client: Client, ports: ReplayPorts): Promise<boolean> {
  const untilMs = ports.clock.monotonic() + ports.healForMs;
  const types = [...client.types].map(type => ({
    what: { type },
    method: 'RegisterAgent',
    message: encodeRegisterAgentRequest({ type }),
  }));
  const subscriptions = [...client.subscriptions.values()].map(s => ({
    what: { subscription: s.id },
    method: 'AddSubscription',
    message: writeAddition(s),
  }));
  // With nothing to register it is still asked something: its answer is the only sign that a silent channel stands.
  if (types.length + subscriptions.length === 0) {
    const { code } = await ports.call('GetSubscriptions', emptyMessage);
    return isAlive(code);
  }
  return (await inBatches(types, untilMs, ports)) && (await inBatches(subscriptions, untilMs, ports));
}

interface Step {
  readonly what: { readonly type: string } | { readonly subscription: string };
  readonly method: string;
  readonly message: Uint8Array;
}

async function inBatches(steps: readonly Step[], untilMs: number, ports: ReplayPorts): Promise<boolean> {
  for (let at = 0; at < steps.length; at += atATime) {
    const batch = steps.slice(at, at + atATime);
    const done = await Promise.all(batch.map(step => once(step, untilMs, ports)));
    if (done.includes(false)) return false;
  }
  return true;
}

async function once({ what, method, message }: Step, untilMs: number, ports: ReplayPorts): Promise<boolean> {
  for (;;) {
    if (!ports.wanted()) return false;
    const status = await ports.call(method, message);
    if (!ports.wanted() || !isAlive(status.code)) return false;
    if (status.code === GrpcStatus.ok) return true;
    if (!isTaken(status.code) || ports.clock.monotonic() >= untilMs) {
      ports.onRefused(what, status);
      return true;
    }
    await pause(ports.clock, ports.retryMs);
  }
}

/** How AutoGen's hosts say that somebody has it: it may be our own old channel. */
export function isTaken(code: number): boolean {
  return code === GrpcStatus.invalidArgument || code === GrpcStatus.alreadyExists;
}

/** Statuses that say that nobody is there. */
export function isAlive(code: number): boolean {
  return (
    code !== GrpcStatus.unavailable && code !== GrpcStatus.cancelled && code !== GrpcStatus.deadlineExceeded
  );
}

export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise(resolve => {
    clock.after(delayMs, resolve);
  });
}
