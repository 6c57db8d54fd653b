import { tryPolicies } from '../access/policy/try-policies.ts';
import { loadGatewayConfig } from '../config/load-gateway.ts';
import { nearMiss } from '../config/near-miss.ts';
import { systemClock } from '../core/clock.ts';
import { LockwireError } from '../core/errors.ts';
import type { Principal } from '../core/session.ts';
import { policyOptions } from '../gateway-options.ts';
import type { Arguments, Command } from './command.ts';

export const policyCommand: Command = {
  name: 'policy',
  summary: 'policy try: what the policies of a config would say, without a gateway.',
  usage:
    'try --config FILE --principal user:ISSUER:SUB|workload:NAME:SAN [--groups A,B] --action ACTION --target NAME',
  options: {
    config: { value: 'FILE', help: "the gateway's config" },
    principal: { value: 'WHO', help: 'user:corp:alice, or workload:ci:spiffe://example/job' },
    groups: { value: 'A,B', help: "the principal's groups" },
    email: { value: 'ADDRESS', help: 'a verified e-mail address' },
    action: { value: 'ACTION', help: 'connect or expose; connect by default' },
    target: { value: 'NAME', help: 'the target' },
  },
  positionals: [1, 1],
  async run(args, io) {
    if (args.positionals[0] !== 'try') throw new LockwireError('usage', `expected: policy try`);
    const config = await loadGatewayConfig(required(args, 'config'), {
      nowMs: systemClock.now(),
      development: true,
    });
    const trial = await tryPolicies({
      ...policyOptions(config),
      request: {
        principal: principalOf(args),
        action: actionOf(args.value('action') ?? 'connect'),
        resource: { type: 'Target', id: required(args, 'target') },
        context: {},
      },
    });
    io.out(`${trial.allow ? 'allow' : 'deny'} (${trial.rule})`);
    for (const rule of trial.rules) io.out(`  decided by ${rule}`);
    for (const error of trial.errors) io.out(`  error: ${error}`);
    for (const near of trial.nearMisses) io.out(`  nearly: ${near}`);
    return trial.allow ? 0 : 1;
  },
};

function required(args: Arguments, name: string): string {
  const value = args.value(name);
  if (value === undefined) throw new LockwireError('usage', `missing --${name}`);
  return value;
}

function actionOf(text: string): 'connect' | 'expose' {
  if (text === 'connect' || text === 'expose') return text;
  const near = nearMiss(text, ['connect', 'expose']);
  throw new LockwireError(
    'usage',
    `--action "${text}": expected connect or expose${near === undefined ? '' : `; did you mean ${near}?`}`,
  );
}

function principalOf(args: Arguments): Principal {
  const text = required(args, 'principal');
  const [, kind, source = '', name = ''] = /^(user|workload):([^:]+):(.+)$/.exec(text) ?? [];
  const groups = (args.value('groups') ?? '').split(',').filter(group => group !== '');
  const email = args.value('email');
  if (kind === 'user') {
    return { kind, issuer: source, subject: name, groups, ...(email === undefined ? {} : { email }) };
  }
  if (kind === 'workload') return { kind, source, name, groups };
  throw new LockwireError('usage', `--principal "${text}": expected user:ISSUER:SUB or workload:NAME:SAN`);
}
