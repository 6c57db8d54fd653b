import { type LogLevel, logLevels } from '../config/client-schema.ts';
import { LockwireError } from '../core/errors.ts';
import { createLog, type FlushableLog } from '../observe/log.ts';
import type { CommandIo, Option } from './command.ts';

export const logLevelOption: Option = { value: 'LEVEL', help: `${logLevels.join(', ')}; info by default` };

/** People's lines on a terminal, JSON elsewhere. Throws `usage` for a level that is none. */
export function makeLog(io: CommandIo, level: string | undefined, fallback: LogLevel = 'info'): FlushableLog {
  const chosen = logLevels.find(known => known === (level ?? fallback));
  if (chosen === undefined) {
    throw new LockwireError('usage', `--log-level "${level}": expected ${logLevels.join(', ')}`);
  }
  return createLog({ level: chosen, format: io.terminal ? 'text' : 'json' });
}
