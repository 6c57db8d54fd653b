import type { LogLevel } from './log-level.ts';
import type { LogValue } from './log-value.ts';

/** `12:03:44 info  session ended who=User::corp|alice bytesUp=1024` */
export function textLine(
  timeMs: number,
  level: LogLevel,
  message: string,
  fields: Readonly<Record<string, LogValue>>,
): string {
  const parts = [clockTime(timeMs), level.padEnd(5), message];
  for (const [key, value] of Object.entries(fields)) parts.push(`${key}=${fieldText(value)}`);
  return parts.join(' ');
}

function fieldText(value: LogValue): string {
  if (typeof value !== 'string') return JSON.stringify(value);
  // Quoted where a reader, or a program, could take it for several fields.
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

function clockTime(timeMs: number): string {
  const date = new Date(timeMs);
  const two = (part: number): string => String(part).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
