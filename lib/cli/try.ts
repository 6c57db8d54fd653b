import { LockwireError } from '../core/errors.ts';
import { runTry } from '../demo/try-client.ts';
import { formatTryReport } from '../demo/try-report.ts';
import type { Command } from './command.ts';

export const defaultWorkerAddress = '127.0.0.1:50051';

export const tryCommand: Command = {
  name: 'try',
  summary: 'Registers an agent, sends RPCs and publishes through ADDR, and checks every byte.',
  usage: '[ADDR] [--rpcs N] [--publishes N]',
  options: {
    rpcs: { value: 'N', help: '100 by default' },
    publishes: { value: 'N', help: '100 by default' },
  },
  positionals: [0, 1],
  async run(args, io) {
    const [address = defaultWorkerAddress] = args.positionals;
    let shown = 0;
    const report = await runTry({
      address,
      rpcs: count('rpcs', args.value('rpcs')),
      publishes: count('publishes', args.value('publishes')),
      onProgress: (done, total) => {
        const tenth = Math.floor((done * 10) / total);
        if (!io.terminal || tenth === shown) return;
        shown = tenth;
        io.err(`${done} of ${total}`);
      },
    });
    for (const line of formatTryReport(report)) io.out(line);
    return 0;
  },
};

const maxCount = 1_000_000;

function count(name: string, text: string | undefined): number {
  if (text === undefined) return 100;
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= maxCount) return value;
  throw new LockwireError('usage', `--${name} "${text}": expected a whole number up to ${maxCount}`);
}
