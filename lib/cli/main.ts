import { isSea } from 'node:sea';
import { assertSafeEnvironment, processEnvironment } from '../config/environment.ts';
import { nearMiss } from '../config/near-miss.ts';
import { version } from '../core/build.ts';
import { safeText } from '../core/bytes.ts';
import { LockwireError, messageOf } from '../core/errors.ts';
import { explainCommand, reloadCommand, sessionsCommand } from './admin.ts';
import { checkCommand } from './check.ts';
import { type Command, type CommandIo, helpOf, readArguments } from './command.ts';
import { doctorCommand } from './doctor.ts';
import { enrollCommand, rotateKeyCommand } from './enroll.ts';
import { gatewayCommand } from './gateway.ts';
import { initCommand } from './init.ts';
import { policyCommand } from './policy.ts';
import { killCommand, revokeCommand } from './revoke.ts';
import { connectCommand, exposeCommand } from './side.ts';
import { tryCommand } from './try.ts';
import { upCommand } from './up.ts';

const commands: readonly Command[] = [
  upCommand,
  tryCommand,
  gatewayCommand,
  connectCommand,
  exposeCommand,
  doctorCommand,
  checkCommand,
  sessionsCommand,
  killCommand,
  revokeCommand,
  enrollCommand,
  rotateKeyCommand,
  reloadCommand,
  explainCommand,
  policyCommand,
  initCommand,
];

function help(io: CommandIo): void {
  io.out('lockwire: an encrypted, identity-checked wire under AutoGen');
  io.out('');
  for (const { name, summary } of commands) io.out(`  lockwire ${name.padEnd(10)} ${summary}`);
  io.out('');
  io.out('lockwire COMMAND --help says more; --version says which build this is.');
}

async function run(argv: readonly string[], io: CommandIo): Promise<number> {
  const [name, ...rest] = argv;
  if (name === '--version' || name === '-v') {
    io.out(`lockwire ${version} (Node ${process.versions.node}, OpenSSL ${process.versions.openssl})`);
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    help(io);
    return name === undefined ? 2 : 0;
  }
  const command = commands.find(known => known.name === name);
  if (command === undefined) throw unknownCommand(name);
  if (rest.includes('--help') || rest.includes('-h')) {
    for (const line of helpOf(command)) io.out(line);
    return 0;
  }
  assertSafeEnvironment(io.env, process.execArgv);
  return await command.run(readArguments(command, rest), io);
}

function unknownCommand(name: string): LockwireError {
  const near = nearMiss(
    name,
    commands.map(command => command.name),
  );
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  return new LockwireError(
    'usage',
    `unknown command "${safeText(name, 64)}"${hint}; lockwire --help lists them`,
  );
}

/** 2: it was asked wrongly; 1: it failed. */
function exitCode(error: unknown): number {
  return error instanceof LockwireError && (error.code === 'usage' || error.code === 'config') ? 2 : 1;
}

const io: CommandIo = {
  env: processEnvironment(),
  terminal: process.stderr.isTTY === true,
  out: line => void process.stdout.write(`${line}\n`),
  err: line => void process.stderr.write(`${line}\n`),
  self: isSea() ? 'lockwire' : 'npm run lockwire --',
};

// Node opens its debugger on SIGUSR1 unless somebody listens; the packaged binary cannot be given --disable-sigusr1.
process.on('SIGUSR1', () => {});

run(process.argv.slice(2), io).then(
  code => {
    process.exitCode = code;
  },
  (error: unknown) => {
    io.err(`lockwire: ${messageOf(error)}`);
    if (!(error instanceof LockwireError) && error instanceof Error) io.err(error.stack ?? '');
    process.exitCode = exitCode(error);
  },
);
