// Rows of real AutoGen: its workers straight at its own host, and the same through connect, gateway and expose.
import { type Row, type Scenario, type Target, timeOfPiece } from './rows.ts';
import { direct } from './systems/direct.ts';
import { lockwireAutogen } from './systems/lockwire.ts';

/** Of what AutoGen puts into a message, as it encodes it. */
const messageBytes = 256;

function calls(depth: number, full: number, warmUp: number, targets: readonly Target[]): Row {
  return {
    name: `autogen-rpc-${depth}`,
    title: `RPC between two workers, ${messageBytes} B each way, ${depth === 1 ? 'one at a time' : `${depth} in flight`}`,
    load: { by: 'autogen', depth, messageBytes, amount: { full }, warmUp },
    ...timeOfPiece,
    targets,
  };
}

export const autogenScenarios: readonly Scenario[] = [
  {
    name: 'autogen',
    title: 'AutoGen’s RPC through connect, gateway and expose',
    note: 'direct: both workers straight at AutoGen’s own host. Lockwire judges each message by policy. A call is two messages.',
    entry: 'plain',
    systems: { lockwire: lockwireAutogen, direct },
    rows: [
      calls(1, 2_000, 300, [{ over: 'direct', mustAdd: 1.5, aimAdd: 0.6 }]),
      calls(16, 6_000, 1_000, []),
    ],
  },
];
