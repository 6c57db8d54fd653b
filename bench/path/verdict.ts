import type { Form, RowResult } from './measure.ts';
import type { Row } from './rows.ts';

/** More than this share of noise and a full run says nothing. */
export const noiseLimit = 0.2;
/** On a shared machine a short run only finds what is far off: so many times what was recorded. */
export const shortSlack = 3;

export interface Verdict {
  readonly ok: boolean;
  /** `aim`, `must`, or what is wrong. */
  readonly text: string;
}

/** Only ratios and memory decide: absolute times belong to the machine that they were taken on. */
export function judge(row: Row, result: RowResult, form: Form, recorded: RowResult | undefined): Verdict {
  const limit = limitOf(row, form, recorded);
  const measured = row.mustAtMost === undefined ? result.ratio : result.lockwire.cost;
  if (!Number.isFinite(measured)) return { ok: false, text: 'not measured' };
  if (measured > limit) return { ok: false, text: `over ${number(limit)}` };
  if (result.noise > noiseLimit && row.mustAtMost === undefined) {
    return { ok: form === 'short', text: `noise ${Math.round(result.noise * 100)} %` };
  }
  if (measured <= (row.aimAtMost ?? row.aim ?? 0)) return { ok: true, text: 'aim met' };
  if (measured <= mustOf(row)) return { ok: true, text: 'ok' };
  return { ok: true, text: `over the must, under ${number(limit)}` };
}

function mustOf(row: Row): number {
  return row.mustAtMost ?? row.must ?? Number.POSITIVE_INFINITY;
}

function limitOf(row: Row, form: Form, recorded: RowResult | undefined): number {
  const must = mustOf(row);
  if (form === 'full') return must;
  const before = row.mustAtMost === undefined ? recorded?.ratio : recorded?.lockwire.cost;
  return shortSlack * Math.max(before ?? must, 0.1);
}

function number(value: number): string {
  return value.toPrecision(3);
}
