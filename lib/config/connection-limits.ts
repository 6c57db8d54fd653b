import { duration } from './fields.ts';

/** How long a tunnel's end waits for the other, milliseconds. */
export interface ConnectionLimits {
  readonly pingInterval: number;
  readonly pingTimeout: number;
  readonly patience: number;
}

/** The same settings at both ends, each its own. */
export const connectionLimits: {
  readonly [Key in keyof ConnectionLimits]: ReturnType<typeof duration>;
} = {
  pingInterval: duration('15s', { min: '1s', max: '10m' }).meta({
    description: 'How often the other end of a tunnel is asked whether it is there.',
  }),
  pingTimeout: duration('10s', { min: '1s', max: '10m' }).meta({
    description: 'Nothing was heard for so long after that: the connection is lost.',
  }),
  patience: duration('60s', { min: '0ms', max: '10m' }).meta({
    description:
      'How long a tunnel’s streams wait for another connection; the shorter one of the two ends counts. `0ms`: they end with theirs.',
  }),
};
