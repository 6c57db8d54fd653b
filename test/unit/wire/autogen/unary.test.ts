import t from 'tap';
import { encodeRpcResponse } from '../../../../lib/wire/autogen/response.ts';
import {
  decodeAddSubscriptionRequest,
  encodeAddSubscriptionRequest,
  encodeGetSubscriptionsResponse,
  type KnownSubscription,
} from '../../../../lib/wire/autogen/subscriptions.ts';
import {
  checkEmpty,
  decodeRegisterAgentRequest,
  decodeRemoveSubscriptionRequest,
  encodeRegisterAgentRequest,
  encodeRemoveSubscriptionRequest,
} from '../../../../lib/wire/autogen/unary.ts';
import { field, part, twinEncode } from '../../../support/autogen-messages.ts';

const byType: KnownSubscription = { kind: 'type', id: 's1', topicType: 'news', agentType: 'größe' };
const byPrefix: KnownSubscription = { kind: 'prefix', id: 's2', topicTypePrefix: '', agentType: 'writer' };
const twinByType = { id: 's1', typeSubscription: { topicType: 'news', agentType: 'größe' } };
const twinByPrefix = { id: 's2', typePrefixSubscription: { agentType: 'writer' } };
const unknown = part(9, 'of a later AutoGen');

t.test('requests and answers are written as by the full encoder and read again', async t => {
  const register = encodeRegisterAgentRequest({ type: 'writer' });
  t.same(register, twinEncode('agents.RegisterAgentTypeRequest', { type: 'writer' }));
  t.same(decodeRegisterAgentRequest(register), { type: 'writer' });
  const remove = encodeRemoveSubscriptionRequest({ id: 's1' });
  t.same(remove, twinEncode('agents.RemoveSubscriptionRequest', { id: 's1' }));
  t.same(decodeRemoveSubscriptionRequest(remove), { id: 's1' });
  for (const [ours, twin] of [
    [byType, twinByType],
    [byPrefix, twinByPrefix],
  ] as const) {
    const add = encodeAddSubscriptionRequest(ours);
    t.same(add, twinEncode('agents.AddSubscriptionRequest', { subscription: twin }));
    t.same(decodeAddSubscriptionRequest(add), ours);
  }
  const list = encodeGetSubscriptionsResponse([byType, byPrefix]);
  t.same(list, twinEncode('agents.GetSubscriptionsResponse', { subscriptions: [twinByType, twinByPrefix] }));
  const failed = { requestId: '17', error: 'denied: rpc to writer (default-deny), decision 7f3a' };
  t.same(encodeRpcResponse(failed), twinEncode('agents.Message', { response: failed }));
});

t.test('a request to subscribe with fields of a later AutoGen anywhere in it is read', async t => {
  const news = part(2, [unknown, part(1, 'news'), unknown, part(2, 'größe'), unknown]);
  const request = [unknown, part(1, [unknown, part(1, 's1'), news, unknown]), unknown];
  t.same(decodeAddSubscriptionRequest(Buffer.concat(request)), byType);
});

t.test('doubled, lying and unknown ones are refused', async t => {
  const twice = Buffer.concat([part(1, 'writer'), part(1, 'admin')]);
  t.throws(() => decodeRegisterAgentRequest(twice), {
    code: 'protocol',
    reason: 'duplicate',
    message: 'RegisterAgentTypeRequest: type twice',
  });
  t.throws(() => decodeRemoveSubscriptionRequest(twice), { code: 'protocol', reason: 'duplicate' });
  const both = part(1, [part(1, 's'), part(2, [part(1, 'news')]), part(3, [])]);
  t.throws(() => decodeAddSubscriptionRequest(both), { code: 'protocol', reason: 'oneof' });
  const neither = /AddSubscriptionRequest: neither typeSubscription nor typePrefixSubscription/;
  t.throws(() => decodeAddSubscriptionRequest(part(1, [part(1, 's')])), {
    reason: 'oneof',
    message: neither,
  });
  t.throws(() => decodeAddSubscriptionRequest(new Uint8Array(0)), { code: 'protocol', reason: 'oneof' });
  const later = part(1, [part(1, 's'), part(7, 'a kind of a later AutoGen')]);
  t.throws(() => decodeAddSubscriptionRequest(later), { reason: 'oneof', message: neither });
  t.throws(() => decodeAddSubscriptionRequest(field(1, 0, Buffer.of(1))), {
    code: 'protocol',
    reason: 'wire-type',
  });
  t.throws(() => decodeRegisterAgentRequest(part(1, 'x'.repeat(1_025))), {
    code: 'protocol',
    reason: 'name-size',
  });
  t.throws(() => decodeRegisterAgentRequest(Buffer.of(0x0a, 2, 0x41)), {
    code: 'protocol',
    reason: 'length',
  });
});

t.test('a message without fields may hold unknown ones, but nothing malformed', async t => {
  checkEmpty(new Uint8Array(0), 'GetSubscriptionsRequest');
  checkEmpty(unknown, 'GetSubscriptionsRequest');
  t.throws(() => checkEmpty(Buffer.of(0x0b), 'GetSubscriptionsRequest'), {
    code: 'protocol',
    reason: 'group',
    message: 'GetSubscriptionsRequest: a group, field 1',
  });
});
