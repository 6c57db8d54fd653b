import { type Trial, tryPolicies } from '../access/policy/try-policies.ts';
import { loadPolicyConfig } from '../config/load-policies.ts';
import { nearMiss } from '../config/near-miss.ts';
import { loadPolicyTests, type PolicyTest } from '../config/policy-tests.ts';
import { parseAuthority } from '../core/authority.ts';
import { safeText } from '../core/bytes.ts';
import { LockwireError } from '../core/errors.ts';
import { ambiguousPath, type CallContext, callContext } from '../core/request-path.ts';
import type { Principal } from '../core/session.ts';
import { policyOptions } from '../gateway-options.ts';
import type { Arguments, Command, CommandIo } from './command.ts';

export const policyCommand: Command = {
  name: 'policy',
  summary:
    'policy try: what a config’s policies would say, without a gateway. policy test: the same, from a file.',
  usage:
    'try --config FILE --principal WHO [--groups A,B] [--email ADDRESS] [--action ACTION] --target NAME\n' +
    '                           [--method METHOD --host AUTHORITY --path PATH]\n' +
    '       lockwire policy test --config FILE TESTS',
  options: {
    config: { value: 'FILE', help: "the gateway's config" },
    principal: { value: 'WHO', help: 'user:corp:alice, or workload:ci:spiffe://example/job' },
    groups: { value: 'A,B', help: "the principal's groups" },
    email: { value: 'ADDRESS', help: 'a verified e-mail address' },
    action: { value: 'ACTION', help: 'connect, call or expose; connect by default' },
    target: { value: 'NAME', help: 'the target' },
    method: { value: 'METHOD', help: 'of a call: POST for gRPC' },
    host: { value: 'AUTHORITY', help: 'of a call: as the client writes it, 127.0.0.1:50051' },
    path: { value: 'PATH', help: 'of a call: /agents.AgentRpc/OpenChannel' },
  },
  positionals: [1, 2],
  async run(args, io) {
    const [verb, file] = args.positionals;
    // Policies are judged before there are keys and certificates to go with them.
    const options = policyOptions(await loadPolicyConfig(required(args, 'config')));
    const ask = async (test: Omit<PolicyTest, 'name' | 'expect'>): Promise<Trial> =>
      tryPolicies({
        ...options,
        request: {
          principal: principalOf(test),
          action: actionOf(test.action),
          resource: { type: 'Target', id: test.target },
          context: contextOf(test),
        },
      });
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

const asked = ['connect', 'call', 'expose'] as const;

function actionOf(text: string): (typeof asked)[number] {
  const action = asked.find(known => known === text);
  if (action !== undefined) return action;
  const near = nearMiss(text, asked);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  throw new LockwireError('usage', `action "${text}": expected connect, call or expose${hint}`);
}

/** Of a call, what the gateway would tell the policy of the request. */
function contextOf({
  action,
  method,
  host,
  path,
}: Pick<PolicyTest, 'action' | 'method' | 'host' | 'path'>): CallContext | Record<string, never> {
  if (action !== 'call') {
    if (method === undefined && host === undefined && path === undefined) return {};
    throw new LockwireError('usage', `method, host and path belong to the action call, not to ${action}`);
  }
  if (method === undefined || host === undefined || path === undefined)
    throw new LockwireError('usage', 'the action call needs method, host and path');
  if (!/^[A-Z]+$/.test(method))
    throw new LockwireError('usage', `method "${safeText(method, 64)}": expected one such as POST`);
  if (parseAuthority(host) === undefined)
    throw new LockwireError('usage', `host "${safeText(host, 256)}": expected HOST or HOST:PORT`);
  const wrong = ambiguousPath(path, method);
  if (wrong === undefined) return callContext(method, host, path);
  const why = `the path has ${wrong}, and the gateway refuses such a request before any policy is asked`;
  throw new LockwireError('usage', `path "${safeText(path, 256)}": ${why}`);
}

function principalOf({ principal, groups = [], email }: Omit<PolicyTest, 'name' | 'expect'>): Principal {
  const [, kind, source = '', name = ''] = /^(user|workload):([^:]+):(.+)$/.exec(principal) ?? [];
  if (kind === 'user') {
    return { kind, issuer: source, subject: name, groups, ...(email === undefined ? {} : { email }) };
  }
  if (kind === 'workload') return { kind, source, name, groups };
  throw new LockwireError('usage', `principal "${principal}": expected user:ISSUER:SUB or workload:NAME:SAN`);
}
