import { encodeRemoveSubscriptionRequest } from '../../wire/autogen/unary.ts';
import { GrpcStatus } from '../../wire/grpc/status.ts';
import type { Client } from './client.ts';
import { callHost } from './host-unary.ts';
import type { Hub } from './hub.ts';
import { aboutRegistration, aboutSubscription, denialText, type Question } from './policy-questions.ts';

/**
 * The rules have changed: what a client has registered and may not have any more is taken back. A host can't unregister
 * an agent type, it only forgets all of a channel that ends: so the channel is opened anew with what is left.
 */
export function judgeAnew(hub: Hub, client: Client): void {
  const { channel } = client;
  const types = [...client.types].filter(type => isDenied(hub, client, aboutRegistration(type)));
  let lost = types.length > 0;
  for (const subscription of [...client.subscriptions.values()]) {
    if (!isDenied(hub, client, aboutSubscription('subscribe', subscription))) continue;
    hub.unsubscribe(client, subscription.id);
    // Where the host's side is just being made, it may be there already, or only come.
    if (channel?.stands) void removeAtHost(hub, client, subscription.id);
    else lost = true;
  }
  if (lost && channel) channel.reopen('a registration is not permitted any more');
  else if (lost && client.loose) startAfresh(hub, client);
  // Only now: whoever waits for an answer of theirs was told by that.
  for (const type of types) hub.disown(client, type);
}

/** The host has it all in the name of a client without a channel: that name ends, and the channel to come makes it anew. */
function startAfresh(hub: Hub, client: Client): void {
  hub.sweep(client.call, client.hostId);
  client.loose = false;
  client.epoch += 1;
  client.freshHostId();
}

function isDenied(hub: Hub, client: Client, question: Question): boolean {
  const decision = client.decisions.ask(client.call, question);
  if (decision.allow) return false;
  hub.notice(client, { code: 'denied', text: denialText(question, decision), decision: decision.id });
  return true;
}

/** If that fails the channel is opened anew, without it. */
async function removeAtHost(hub: Hub, client: Client, id: string): Promise<void> {
  const { ports, options } = hub;
  const { channel, hostId, call } = client;
  const buffers = ports.buffers.share(client.principal);
  const status = await callHost(
    { clock: ports.clock, target: ports.target, buffers, maxAnswerBytes: options.maxMessageBytes.down },
    {
      call,
      method: 'RemoveSubscription',
      hostId,
      message: encodeRemoveSubscriptionRequest({ id }),
      timeoutMs: options.unaryTimeoutMs,
    },
  );
  buffers.leave();
  if (status.code !== GrpcStatus.ok && client.channel === channel && client.hostId === hostId)
    channel?.reopen('a subscription that is not permitted any more could not be removed');
}
