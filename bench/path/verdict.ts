// What the figures say of each target: only ratios and memory decide, for absolute times belong to a machine.
import type { Form, RowResult } from './measure.ts';
import type { Adds, AgainstPeer, AtMost, Row } from './rows.ts';

/** More than this share of noise and a full run says nothing. */
export const noiseLimit = 0.2;
/** On a shared machine a short run only finds what is far off: so many times what was recorded. */
export const shortSlack = 3;

/** One target of a row: against a peer, in the row's unit, or in what is added to a peer's. */
export interface Verdict {
  /** `0.21 × nginx`, `120 KiB`, or `direct + 0.50 ms`. */
  readonly measured: string;
  readonly must: string;
  readonly aim: string;
  readonly noise?: number;
  readonly ok: boolean;
  /** `aim met`, `must met`, or what is wrong. */
  readonly text: string;
}

/** Targets whose peer isn't among the systems of the run are left out. */
export function judge(row: Row, result: RowResult, form: Form, recorded: RowResult | undefined): Verdict[] {
  if (!result.systems.some(({ name }) => name === 'lockwire')) return [];
  return row.targets.flatMap(target => {
    if ('mustAtMost' in target) return judgeAmount(target, result, form, recorded);
    const peer = 'peer' in target ? target.peer : target.over;
    if (!result.systems.some(({ name }) => name === peer)) return [];
    return 'peer' in target
      ? judgeRatio(target, result, form, recorded)
      : judgeAdded(target, result, form, recorded);
  });
}

function judgeRatio(
  { peer, must, aim }: AgainstPeer,
  result: RowResult,
  form: Form,
  recorded: RowResult | undefined,
): Verdict {
  const { ratio, noise } = comparison(result, peer) ?? { ratio: Number.NaN, noise: Number.NaN };
  const limits = { must, aim, before: recorded && comparison(recorded, peer)?.ratio };
  const show = (value: number): string => `≤ ${value.toFixed(2)} × ${peer}`;
  return {
    measured: `${number(ratio)} × ${peer}`,
    must: must === undefined ? '' : show(must),
    aim: aim === undefined ? '' : show(aim),
    noise,
    ...decide(ratio, noise, limits, form),
  };
}

function judgeAmount(
  { mustAtMost, aimAtMost }: AtMost,
  result: RowResult,
  form: Form,
  recorded: RowResult | undefined,
): Verdict {
  const measured = own(result) ?? Number.NaN;
  const limits = { must: mustAtMost, aim: aimAtMost, before: recorded && own(recorded) };
  return {
    measured: `${number(measured)} ${result.unit}`,
    must: `≤ ${mustAtMost} ${result.unit}`,
    aim: `≤ ${aimAtMost} ${result.unit}`,
    ...decide(measured, 0, limits, form),
  };
}

function judgeAdded(
  { over, mustAdd, aimAdd }: Adds,
  result: RowResult,
  form: Form,
  recorded: RowResult | undefined,
): Verdict {
  const { price, noise } = comparison(result, over)?.added ?? { price: Number.NaN, noise: Number.NaN };
  const limits = { must: mustAdd, aim: aimAdd, before: recorded && comparison(recorded, over)?.added?.price };
  const show = (value: number): string => `≤ ${over} + ${value.toFixed(2)} ${result.unit}`;
  return {
    measured: `${over} + ${number(price)} ${result.unit}`,
    must: show(mustAdd),
    aim: show(aimAdd),
    noise,
    ...decide(price, noise, limits, form),
  };
}

interface Limits {
  readonly must: number | undefined;
  readonly aim: number | undefined;
  readonly before: number | undefined;
}

function decide(
  measured: number,
  noise: number,
  { must, aim, before }: Limits,
  form: Form,
): Pick<Verdict, 'ok' | 'text'> {
  if (!Number.isFinite(measured)) return { ok: false, text: 'not measured' };
  const met = aim !== undefined && measured <= aim ? 'aim met' : undefined;
  if (form === 'short') {
    const limit = shortSlack * Math.max(before ?? must ?? aim ?? Number.POSITIVE_INFINITY, 0.1);
    return measured > limit
      ? { ok: false, text: `over ${number(limit)}` }
      : { ok: true, text: met ?? 'not far off' };
  }
  if (noise > noiseLimit) return { ok: false, text: `noise ${Math.round(noise * 100)} %` };
  if (must !== undefined && measured > must) return { ok: false, text: `over ${number(must)}` };
  return { ok: true, text: met ?? (must === undefined ? 'aim missed' : 'must met') };
}

function comparison(result: RowResult, peer: string): RowResult['comparisons'][number] | undefined {
  return result.comparisons.find(other => other.peer === peer);
}

function own({ systems }: RowResult): number | undefined {
  return systems.find(({ name }) => name === 'lockwire')?.price;
}

export function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(2);
}
