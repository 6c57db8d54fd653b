import { invariant } from '../../core/errors.ts';

/** The grpc-timeout header: at most 8 digits and a unit. */

/** Smallest first. */
const units: readonly (readonly [unit: string, ms: number])[] = [
  ['n', 1e-6],
  ['u', 1e-3],
  ['m', 1],
  ['S', 1_000],
  ['M', 60_000],
  ['H', 3_600_000],
];
const maxDigitsValue = 99_999_999;
const form = /^([0-9]{1,8})([HMSmun])$/;

/** In milliseconds, with fractions; undefined where it is no timeout. 0 has run out already. */
export function parseGrpcTimeout(text: string): number | undefined {
  const match = form.exec(text);
  if (match === null) return undefined;
  const value = Number(match[1]);
  // Divided, as 1e-6 and 1e-3 are no exact numbers: 300u is 0.3 ms and not a hair more.
  if (match[2] === 'n') return value / 1e6;
  if (match[2] === 'u') return value / 1e3;
  return value * msOf(match[2]);
}

/** In the smallest unit that has room for it, rounded up: a deadline never comes early by being written. */
export function formatGrpcTimeout(ms: number): string {
  invariant(!Number.isNaN(ms), 'a timeout that is no number');
  if (ms <= 0) return '0n';
  for (const [unit, unitMs] of units) {
    // A unit's product is off by its last bit: what is a whole number but for that is not rounded up.
    const value = Math.ceil(Number((ms / unitMs).toPrecision(14)));
    if (value <= maxDigitsValue) return `${value}${unit}`;
  }
  return `${maxDigitsValue}H`;
}

function msOf(unit: string | undefined): number {
  return units.find(([name]) => name === unit)?.[1] ?? Number.NaN;
}
