import type { Row, Scenario } from './rows.ts';
import { autogenScenarios } from './rows-autogen.ts';
import { byteScenarios } from './rows-bytes.ts';
import { http2Scenarios } from './rows-http2.ts';

export const scenarios: readonly Scenario[] = [...http2Scenarios, ...byteScenarios, ...autogenScenarios];

/** Whether the short form has the row. */
export function isShort({ load }: Row): boolean {
  return load.by === 'load' && load.amount.short !== undefined;
}
