import { setImmediate as immediate } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { BufferedStream } from '../../../lib/core/buffered-stream.ts';
import { systemClock } from '../../../lib/core/clock.ts';
import { fixedWindow } from '../../../lib/core/read-budget.ts';
import type { Closed } from '../../../lib/core/session.ts';
import { relay } from '../../../lib/relay/tcp.ts';
import { Endpoint, quiet } from '../../support/relay-endpoint.ts';
import { connectedFacts } from '../../support/relay-facts.ts';
import { Keystream } from '../../support/relay-keystream.ts';
import { carrierPair } from '../../support/relay-pipes.ts';

type Side = 'client' | 'server';

type Step =
  | { readonly do: 'write'; readonly side: Side; readonly bytes: number }
  | { readonly do: 'end' | 'reset' | 'hold' | 'read'; readonly side: Side }
  | { readonly do: 'turn'; readonly rounds: number };

const side = fc.constantFrom<Side>('client', 'server');
const gentle: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      side,
      bytes: fc.integer({ min: 1, max: 3000 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('turn' as const), rounds: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('hold' as const, 'read' as const), side }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const), side }) },
);
const rough: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: gentle },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reset' as const), side }) },
);

const set = fc.record({
  mode: fc.constantFrom('plain' as const, 'delayed' as const, 'one-byte' as const),
  bufferBytes: fc.constantFrom(64, 1000, 65_536),
  windowBytes: fc.constantFrom(1, 500, 5000, 65_536),
  readBytes: fc.constantFrom(50, 700, 16_384),
});

/** A stream that keeps watch over the credit of what it delivers. */
class WatchedStream extends BufferedStream {
  outstanding = 0;
  most = 0;

  override start(events: Parameters<BufferedStream['start']>[0]): void {
    super.start({
      ...events,
      data: chunk => {
        this.outstanding += chunk.byteLength;
        this.most = Math.max(this.most, this.outstanding);
        events.data(chunk);
      },
    });
  }

  override consume(bytes: number): void {
    this.outstanding -= bytes;
    super.consume(bytes);
  }
}

async function run(options: typeof set extends fc.Arbitrary<infer O> ? O : never, steps: readonly Step[]) {
  const budget = fixedWindow(options.windowBytes);
  const near = carrierPair(options);
  const far = carrierPair(options);
  const client = new WatchedStream(near.right, budget);
  const upstream = new WatchedStream(far.left, budget);
  const closed: Closed[] = [];
  relay(client, upstream, connectedFacts, { clock: systemClock, onClosed: facts => closed.push(facts) });
  const ends: Record<Side, Endpoint> = {
    client: new Endpoint(new BufferedStream(near.left, budget), { keep: true }),
    server: new Endpoint(new BufferedStream(far.right, budget), { keep: true }),
  };
  const sources: Record<Side, Keystream> = { client: new Keystream(1), server: new Keystream(2) };
  const ended: Record<Side, boolean> = { client: false, server: false };
  let reset = false;
  for (const step of steps) {
    if (step.do === 'turn') {
      for (let i = 0; i < step.rounds; i += 1) await immediate();
      continue;
    }
    const end = ends[step.side];
    if (step.do === 'write' && !ended[step.side]) end.write(sources[step.side].next(step.bytes));
    if (step.do === 'end') {
      ended[step.side] = true;
      end.stream.end();
    }
    if (step.do === 'reset') {
      reset = true;
      end.stream.reset({ code: 'cancelled', text: '' });
    }
    if (step.do === 'hold') end.hold();
    if (step.do === 'read') end.read();
  }
  for (const end of Object.values(ends)) {
    end.read();
    end.stream.end();
  }
  // A deadlock shows as quiet before the close: nothing here waits for a clock.
  while (closed.length === 0 || !ends.client.reason || !ends.server.reason) {
    const before = ends.client.events + ends.server.events;
    await quiet(Object.values(ends), 60);
    if (before === ends.client.events + ends.server.events) break;
  }
  return { ends, closed, reset, streams: [client, upstream] };
}

function isPrefix(received: readonly Uint8Array[], seed: number): boolean {
  const bytes = Buffer.concat(received);
  return new Keystream(seed).next(bytes.byteLength).equals(bytes);
}

function mostOutstanding({ windowBytes, readBytes }: { windowBytes: number; readBytes: number }): number {
  return windowBytes - 1 + readBytes;
}

t.test(
  '120 random interleavings without a reset: every byte arrives, both ways, and all is done',
  async t => {
    await fc.assert(
      fc.asyncProperty(set, fc.array(gentle, { maxLength: 40 }), async (options, steps) => {
        const { ends, closed, streams } = await run(options, steps);
        if (closed.length !== 1) throw new Error(`onClosed ${closed.length} times: a deadlock`);
        if (closed[0]?.reason.code !== 'done') throw new Error(`ended with ${closed[0]?.reason.code}`);
        if (ends.server.receivedBytes !== ends.client.queuedBytes) throw new Error('bytes up are missing');
        if (ends.client.receivedBytes !== ends.server.queuedBytes) throw new Error('bytes down are missing');
        if (!isPrefix(ends.server.kept, 1) || !isPrefix(ends.client.kept, 2)) throw new Error('bytes differ');
        for (const { most } of streams)
          if (most > mostOutstanding(options)) throw new Error(`${most} B held`);
      }),
      { numRuns: 120 },
    );
    t.pass();
  },
);

t.test('120 with resets: what arrives is a prefix, and both sides learn of it', async t => {
  await fc.assert(
    fc.asyncProperty(set, fc.array(rough, { maxLength: 40 }), async (options, steps) => {
      const { ends, closed, reset, streams } = await run(options, steps);
      if (closed.length !== 1) throw new Error(`onClosed ${closed.length} times: a deadlock`);
      if (!ends.client.reason || !ends.server.reason) throw new Error('an end was not closed');
      if (!isPrefix(ends.server.kept, 1) || !isPrefix(ends.client.kept, 2)) throw new Error('bytes differ');
      if (!reset && closed[0]?.reason.code !== 'done')
        throw new Error(`ended with ${closed[0]?.reason.code}`);
      for (const { most } of streams) if (most > mostOutstanding(options)) throw new Error(`${most} B held`);
    }),
    { numRuns: 120 },
  );
  t.pass();
});
