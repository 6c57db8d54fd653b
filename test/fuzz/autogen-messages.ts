import assert from 'node:assert/strict';
import { readMessageHead } from '../../lib/dialects/autogen-rpc/message-head.ts';
import { scanMessage } from '../../lib/wire/autogen/scan.ts';
import { replaceRequestId } from '../../lib/wire/autogen/splice.ts';
import { decodeAddSubscriptionRequest } from '../../lib/wire/autogen/subscriptions.ts';
import type { MessageView } from '../../lib/wire/autogen/views.ts';
import { ProtobufError } from '../../lib/wire/protobuf/errors.ts';
import {
  namesOf,
  randomMessage,
  twinDecode,
  twinEncode,
  twinNames,
  twinPlain,
} from '../support/autogen-messages.ts';
import { type FuzzTarget, mutate, type Random } from '../support/fuzz.ts';

/**
 * Whatever bytes come: a ProtobufError, or the same names as the full decoder reads; a splice that the full decoder reads
 * as what it makes of decode, change, encode; nothing but the new field differs; no prototype changes.
 */
export const target: FuzzTarget = {
  once(random) {
    const honest = randomMessage(random);
    checkAccepted(
      random,
      honest,
      accepted(() => scanMessage(honest)) ?? assert.fail('an honest message refused'),
    );
    const bytes = mutate(random, honest);
    const view = accepted(() => scanMessage(bytes));
    if (view !== undefined) checkAccepted(random, bytes, view);
    checkHead(random, honest);
    readMessageHead(bytes);
    checkUnary(bytes);
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
    assert.deepEqual(Object.keys(Object.prototype), []);
  },
};

function accepted<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof ProtobufError, String(error));
    return undefined;
  }
}

const ids = ['0123456789abcdef0123456789abcdef', '', '7', 'größe', 'x'.repeat(300)];

function checkAccepted(random: Random, bytes: Buffer, view: MessageView): void {
  assert.deepEqual(namesOf(view), twinNames(bytes));
  if (view.kind === 'event') return;
  const requestId = random.pick(ids);
  const message = twinDecode('agents.Message', bytes) as Record<string, Record<string, unknown>>;
  (message[view.kind] as Record<string, unknown>).requestId = requestId;
  same(Buffer.concat(replaceRequestId(view, requestId)), message);
  untouched(bytes, view, requestId);
}

/** Read again, the splice is what the twin wrote. */
function same(spliced: Buffer, message: object): void {
  const twin = twinEncode('agents.Message', message);
  assert.equal(twinPlain('agents.Message', spliced), twinPlain('agents.Message', twin));
  // Encoded again, what the twin does not know is there too.
  assert.deepEqual(twinEncode('agents.Message', twinDecode('agents.Message', spliced)), twin);
  assert.deepEqual(namesOf(scanMessage(spliced)), twinNames(twin));
}

/** Put back, the old id gives the old bytes, where it was there and its field not of the kind that is left out. */
function untouched(bytes: Buffer, view: MessageView, requestId: string): void {
  if (view.kind === 'event' || view.requestId === '' || requestId === '') return;
  const there = scanMessage(Buffer.concat(replaceRequestId(view, requestId)));
  assert.ok(there !== undefined && there.kind !== 'event');
  assert.deepEqual(Buffer.concat(replaceRequestId(there, view.requestId)), bytes);
}

/** What is found in the first bytes is what the whole says. */
function checkHead(random: Random, bytes: Buffer): void {
  const { kind, requestId } = readMessageHead(bytes.subarray(0, random.int(bytes.byteLength + 1)));
  if (kind === 'unknown') return;
  const twin = twinNames(bytes);
  assert.equal(kind === 'event' ? 'cloudEvent' : kind, twin.kind);
  if (requestId !== undefined) assert.equal(requestId, twin.names[0]);
}

/** A subscription that is accepted is the one that the full decoder reads. */
function checkUnary(bytes: Buffer): void {
  const subscription = accepted(() => decodeAddSubscriptionRequest(bytes));
  if (subscription === undefined) return;
  const twin = twinDecode('agents.AddSubscriptionRequest', bytes).subscription as TwinSubscription;
  const { id, typeSubscription, typePrefixSubscription } = twin;
  const { kind, ...names } = subscription;
  assert.equal(kind, typeSubscription ? 'type' : 'prefix');
  const { topicType, topicTypePrefix, agentType } = typeSubscription ?? typePrefixSubscription ?? {};
  const topic = typeSubscription ? { topicType } : { topicTypePrefix };
  assert.deepEqual(names, { id, ...topic, agentType });
}

interface TwinSubscription {
  readonly id: string;
  readonly typeSubscription?: TwinTopic | null;
  readonly typePrefixSubscription?: TwinTopic | null;
}

interface TwinTopic {
  readonly topicType?: string;
  readonly topicTypePrefix?: string;
  readonly agentType?: string;
}
