import { type Trial, tryPolicies } from '../access/policy/try-policies.ts';
import { loadPolicyConfig } from '../config/load-policies.ts';
import { loadPolicyTests, type PolicyTest } from '../config/policy-tests.ts';
import { LockwireError } from '../core/errors.ts';
import { policyOptions } from '../gateway-options.ts';
import type { Arguments, Command, CommandIo } from './command.ts';
import { type PolicyQuestion, policyRequest } from './policy-request.ts';

export const policyCommand: Command = {
  name: 'policy',
  summary:
    'policy try: what a config’s policies would say, without a gateway. policy test: the same, from a file.',
  usage:
    'try --config FILE --principal WHO [--groups A,B] [--email ADDRESS] [--action ACTION] --target NAME\n' +
    '                           [--method METHOD --host AUTHORITY --path PATH]\n' +
    '                           [--operation OPERATION --agent-type TYPE --agent-key KEY\n' +
    '                            --topic-type TYPE --topic-source SOURCE --prefix]\n' +
    '       lockwire policy test --config FILE TESTS',
  options: {
    config: { value: 'FILE', help: "the gateway's config" },
    principal: { value: 'WHO', help: 'user:corp:alice, or workload:ci:spiffe://example/job' },
    groups: { value: 'A,B', help: "the principal's groups" },
    email: { value: 'ADDRESS', help: 'a verified e-mail address' },
    action: { value: 'ACTION', help: 'connect, call, message or expose; connect by default' },
    target: { value: 'NAME', help: 'the target' },
    method: { value: 'METHOD', help: 'of a call: POST for gRPC' },
    host: { value: 'AUTHORITY', help: 'of a call: as the client writes it, 127.0.0.1:50051' },
    path: { value: 'PATH', help: 'of a call: /agents.AgentRpc/OpenChannel' },
    operation: {
      value: 'OPERATION',
      help: 'of a message: register, subscribe, unsubscribe, list, publish, rpc or respond',
    },
    'agent-type': { value: 'TYPE', help: 'of a registration, a subscription, an rpc and its response' },
    'agent-key': { value: 'KEY', help: 'of an rpc and its response' },
    'topic-type': { value: 'TYPE', help: 'of a publication and a subscription' },
    'topic-source': { value: 'SOURCE', help: 'of a publication' },
    prefix: { help: 'the subscription is to all topic types that begin with --topic-type' },
  },
  positionals: [1, 2],
  async run(args, io) {
    const [verb, file] = args.positionals;
    // Policies are judged before there are keys and certificates to go with them.
    const options = policyOptions(await loadPolicyConfig(required(args, 'config')));
    const ask = async (question: PolicyQuestion): Promise<Trial> =>
      tryPolicies({ ...options, request: policyRequest(question) });
    if (verb === 'test' && file !== undefined) return await testAll(await loadPolicyTests(file), ask, io);
    if (verb !== 'try' || file !== undefined) {
      throw new LockwireError('usage', 'expected: policy try …, or policy test --config FILE TESTS');
    }
    const trial = await ask({
      principal: required(args, 'principal'),
      groups: (args.value('groups') ?? '').split(',').filter(group => group !== ''),
      email: args.value('email'),
      action: args.value('action') ?? 'connect',
      target: required(args, 'target'),
      method: args.value('method'),
      host: args.value('host'),
      path: args.value('path'),
      operation: args.value('operation'),
      agentType: args.value('agent-type'),
      agentKey: args.value('agent-key'),
      topicType: args.value('topic-type'),
      topicSource: args.value('topic-source'),
      ...(args.has('prefix') ? { prefix: true } : {}),
    });
    say(trial, io);
    return trial.allow ? 0 : 1;
  },
};

async function testAll(
  tests: readonly PolicyTest[],
  ask: (test: PolicyTest) => Promise<Trial>,
  io: CommandIo,
): Promise<number> {
  let failed = 0;
  for (const test of tests) {
    const trial = await ask(test);
    const verdict = trial.allow ? 'allow' : 'deny';
    const ok = verdict === test.expect && trial.errors.length === 0;
    io.out(`${ok ? 'ok    ' : 'FAILED'} ${test.name}`);
    if (ok) continue;
    failed += 1;
    io.out(`       expected ${test.expect}`);
    say(trial, io);
  }
  io.out(`${tests.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function say(trial: Trial, io: CommandIo): void {
  io.out(`${trial.allow ? 'allow' : 'deny'} (${trial.rule})`);
  for (const rule of trial.rules) io.out(`  decided by ${rule}`);
  for (const error of trial.errors) io.out(`  error: ${error}`);
  for (const near of trial.nearMisses) io.out(`  nearly: ${near}`);
}

function required(args: Arguments, name: string): string {
  const value = args.value(name);
  if (value === undefined) throw new LockwireError('usage', `missing --${name}`);
  return value;
}
