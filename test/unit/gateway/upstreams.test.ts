import t from 'tap';
import { type ByteStream, noMetrics } from '../../../lib/core/ports.ts';
import { Shares } from '../../../lib/gateway-shares.ts';
import type { Target } from '../../../lib/gateway-target.ts';
import { UpstreamPools } from '../../../lib/gateway-upstreams.ts';
import { noShare } from '../../../lib/relay/http2/held-budget.ts';
import { http2Defaults } from '../../../lib/relay/http2/options.ts';
import type { TlsDialer } from '../../../lib/transport/tls-client.ts';
import { Exposers } from '../../../lib/tunnel/exposers.ts';
import { WindowPool } from '../../../lib/tunnel/window-pool.ts';
import { settingsFrame } from '../../../lib/wire/http2/encode.ts';
import { FrameType } from '../../../lib/wire/http2/frames.ts';
import { TurnedClock } from '../../support/transport-clock.ts';
import { tunnelPair } from '../../support/tunnel-pair.ts';

const target: Target = {
  name: 'exposed',
  stateful: true,
  http2: { grpc: true, upstreamMode: 'own', hosts: [], services: [] },
  upstream: { kind: 'tunnel' },
};

t.test('of an expose with 8 streams one principal gets 4, by however many direct connections', async t => {
  const pair = await tunnelPair({ role: 'expose', limits: { maxStreams: 8 } });
  const { clock } = pair;
  const exposers = new Exposers(clock);
  exposers.add('exposed', pair.gateway.session);
  const pools = new UpstreamPools({
    clock,
    metrics: noMetrics,
    pool: new WindowPool(),
    exposers,
    shares: new Shares(clock),
  });
  const dial = (principal: string) => pools.dialShare(target, 'loopback', principal);
  const greedy = [await dial('greedy'), await dial('greedy'), await dial('greedy'), await dial('greedy')];
  await t.rejects(dial('greedy'), { code: 'limit', message: /4 streams of this principal are open/ });
  const other = await dial('other');
  await t.rejects(dial('greedy'), { code: 'limit' });
  const [first] = greedy;
  for (const { stream, leave } of [...greedy.slice(1), other]) {
    stream.reset({ code: 'cancelled', text: '' });
    leave();
  }
  first?.leave();
  first?.leave();
  t.ok(await dial('greedy'), 'and those that left are no more counted');
});

t.test('without the share it would take all 8', async t => {
  const pair = await tunnelPair({ role: 'expose', limits: { maxStreams: 8 } });
  for (let i = 0; i < 8; i += 1) pair.gateway.session.open('exposed', 'loopback', () => {});
  t.throws(() => pair.gateway.session.open('exposed', 'loopback', () => {}), { code: 'limit' });
});

/** How many PINGs a server hears in 15 s in which it answers one request by nothing. */
async function pingsHeard(upstream: Target['upstream']): Promise<number> {
  const clock = new TurnedClock();
  const exposers = new Exposers(clock);
  const shares = new Shares(clock);
  const pools = new UpstreamPools({ clock, metrics: noMetrics, pool: new WindowPool(), exposers, shares });
  let pings = 0;
  const stream: ByteStream = {
    start: events => events.data(settingsFrame([])),
    write: chunk => {
      if (chunk.byteLength === 17 && chunk[3] === FrameType.ping) pings += 1;
    },
    end() {},
    reset() {},
    consume() {},
  };
  const upstreams = pools.own({ ...target, upstream }, { open: async () => stream });
  const handler = { headers() {}, data() {}, end() {}, sent() {}, done() {}, cut() {} };
  await new Promise<void>(resolve =>
    upstreams.acquire({
      principal: 'somebody',
      opened(connection) {
        connection.open(handler, noShare);
        connection.settingsAck();
        resolve();
      },
      refuse() {},
    }),
  );
  clock.turn(http2Defaults.keepaliveIntervalMs);
  return pings;
}

t.test(
  'a silent upstream that was dialled is sent a PING after 15 s, one behind a tunnel is not',
  async t => {
    const dialer = {} as TlsDialer;
    t.equal(await pingsHeard({ kind: 'dial', address: 'a.example:443', authority: 'a.example', dialer }), 1);
    t.equal(await pingsHeard({ kind: 'tunnel' }), 0);
  },
);
