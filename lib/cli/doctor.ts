import { loadClientConfig } from '../config/client.ts';
import { formatAddress } from '../core/address.ts';
import { systemClock } from '../core/clock.ts';
import { LockwireError } from '../core/errors.ts';
import { diagnose } from '../doctor.ts';
import type { Diagnosis, PartReport } from '../doctor-report.ts';
import type { Arguments, Command } from './command.ts';
import { commonSideOptions, flagsOf } from './side.ts';

export const doctorCommand: Command = {
  name: 'doctor',
  summary:
    'Walks from here to the target, says what it sees of each part, names the first that fails and what to do.',
  usage:
    '--role connect|expose --gateway HOST:PORT --target NAME [--to ADDR] [--ca FILE] [--token-file FILE | --cert FILE --key FILE] [--json]',
  options: {
    role: { value: 'ROLE', help: 'whose way is looked at; expose where --to is given' },
    ...commonSideOptions,
    listen: { value: 'ADDR', help: "connect's address: which instance's key it is; nothing listens there" },
    to: { value: 'ADDR', help: 'the host that expose is to serve' },
    'require-no-bypass': { help: 'a host whose port is bound beyond loopback is a failure' },
    json: { help: 'one JSON document in place of lines' },
  },
  positionals: [0, 0],
  async run(args, io) {
    const role = roleOf(args);
    const config = await loadClientConfig(role, flagsOf(args), {
      env: io.env,
      nowMs: systemClock.now(),
      listening: false,
    });
    const json = args.has('json');
    for (const warning of config.warnings) io.err(`warning: ${warning}`);
    const { gateway, target } = config;
    if (!json) io.out(`lockwire doctor: ${role} to target ${target} through ${formatAddress(gateway)}`);
    const tell = (report: PartReport): void => {
      if (!json) io.out(lineOf(report));
    };
    const diagnosis = await diagnose(config, { clock: systemClock, tell });
    const { first } = diagnosis;
    if (json) io.out(JSON.stringify(documentOf(role, target, formatAddress(gateway), diagnosis), null, 2));
    else if (first === undefined) io.out('all is well');
    else {
      io.out(`the first that fails is ${first.part}. ${first.advice ?? ''}`.trimEnd());
    }
    return first === undefined ? 0 : 1;
  },
};

function roleOf(args: Arguments): 'connect' | 'expose' {
  const role = args.value('role') ?? (args.value('to') === undefined ? undefined : 'expose');
  if (role === 'connect' || role === 'expose') return role;
  throw new LockwireError(
    'usage',
    role === undefined ? 'missing --role connect|expose' : '--role: expected connect or expose',
  );
}

function lineOf({ part, state, seen }: PartReport): string {
  return `  ${part.padEnd(9)} ${(state === 'failed' ? 'FAILED' : state).padEnd(8)} ${seen}`;
}

function documentOf(role: string, target: string, gateway: string, { parts, first }: Diagnosis): object {
  return { ok: first === undefined, role, target, gateway, first: first?.part ?? null, parts };
}
