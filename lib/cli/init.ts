import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { LockwireError, messageOf } from '../core/errors.ts';
import type { Command } from './command.ts';
import { initFiles } from './init-files.ts';

export const initCommand: Command = {
  name: 'init',
  summary:
    "Writes a gateway's config, its policy with tests, and a systemd unit into DIR; overwrites nothing.",
  usage: 'DIR',
  options: {},
  positionals: [1, 1],
  async run(args, io) {
    const directory = resolve(args.positionals[0] ?? '');
    const files = initFiles(directory);
    // All or nothing: half a set beside somebody's own files would be worse than none.
    const there = files.filter(({ name }) => existsSync(join(directory, name)));
    if (there.length > 0) {
      const names = there.map(({ name }) => name).join(', ');
      throw new LockwireError('usage', `${directory} holds ${names} already; nothing was written`);
    }
    try {
      mkdirSync(directory, { recursive: true, mode: 0o755 });
      mkdirSync(join(directory, 'data'), { recursive: true, mode: 0o700 });
      for (const { name, mode, text } of files)
        writeFileSync(join(directory, name), text, { mode, flag: 'wx' });
    } catch (error) {
      throw new LockwireError('io', `cannot write into ${directory}: ${messageOf(error)}`);
    }
    const { self } = io;
    const config = join(directory, 'gateway.json');
    for (const line of [
      `lockwire: wrote ${files.map(({ name }) => name).join(', ')} into ${directory}`,
      '',
      'Next:',
      `  1. Put the gateway's certificate and key there: gateway.pem (with its chain), gateway.key (chmod 600).`,
      `  2. Set your issuer and audience in gateway.json; docs/production.md has them for the usual ones.`,
      `  3. Edit policy.cedar and its tests:  ${self} policy test --config ${config} ${join(directory, 'policy.tests.json')}`,
      `  4. See what is still missing:        ${self} check ${config}`,
      `  5. Start it:                         ${self} gateway --config ${config}`,
    ]) {
      io.out(line);
    }
    return 0;
  },
};
