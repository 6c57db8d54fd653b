import t from 'tap';
import { noMetrics } from '../../../lib/core/ports.ts';
import { Shares } from '../../../lib/gateway-shares.ts';
import type { Target } from '../../../lib/gateway-target.ts';
import { UpstreamPools } from '../../../lib/gateway-upstreams.ts';
import { Exposers } from '../../../lib/tunnel/exposers.ts';
import { WindowPool } from '../../../lib/tunnel/window-pool.ts';
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
