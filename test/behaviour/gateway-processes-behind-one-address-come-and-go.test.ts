import t from 'tap';
import { exposeTunnels, Flow, has, startFleet } from '../support/e2e-fleet.ts';
import { run } from '../support/e2e-program.ts';
import { exchange } from '../support/e2e-sockets.ts';
import { type Gateway, World } from '../support/e2e-world.ts';
import { rewriteConfig } from '../support/store-reload.ts';

const world = await World.make(t);

t.test(
  'a drain of one of 2: its stream runs on, its successor gets a tunnel, the other notices nothing',
  async t => {
    const { gateways, balancer, expose, connects } = await startFleet(t, world, 2);
    const [a, b] = gateways as [Gateway, Gateway];
    const [onA, onB] = [new Flow(connects[0]!.address), new Flow(connects[1]!.address)];
    await Promise.all([onA.step(), onB.step()]);
    a.program.signal('SIGTERM');
    await has(expose, 1, 2);
    await Promise.all([onA.step(), onB.step()]);
    const store = a.config.replace(/\.json$/, '.data').slice(world.directory.length + 1);
    const successor = await world.gateway({ instances: 2, store });
    balancer.backends = [b.port, successor.port];
    await Promise.all([onA.until(has(expose, 2, 2)), onB.step()]);
    t.equal(await exchange((await world.connect(successor)).address, 'successor'), 'successor');
    t.ok(a.program.alive, 'the old one still has its stream');
    await Promise.all([onA.step(), onB.step()]);
    t.ok(onA.intact && onB.intact);
    t.equal(exposeTunnels(b).length, 1);
  },
);

t.test(
  'a reload says 3 where it said 2: the third is found, live tunnels stay; and 1: they stay too',
  async t => {
    const { gateways, balancer, expose, connects } = await startFleet(t, world, 2);
    const flow = new Flow(connects[0]!.address);
    await flow.step();
    const third = await world.gateway({ instances: 3 });
    balancer.backends = [...balancer.backends, third.port];
    rewriteConfig(world, gateways[0]!, config => {
      Object.assign(config, { instances: 3 });
    });
    t.equal((await run(['reload', '--socket', gateways[0]!.adminSocket])).code, 0);
    await flow.until(has(expose, 3, 3));
    t.equal(await exchange((await world.connect(third)).address, 'third'), 'third');
    for (const gateway of [gateways[0]!, third]) {
      rewriteConfig(world, gateway, config => {
        Object.assign(config, { instances: 2 });
      });
      t.equal((await run(['reload', '--socket', gateway.adminSocket])).code, 0);
    }
    await flow.until(has(expose, 3, 2));
    t.equal(await exchange(connects[1]!.address, 'kept'), 'kept');
    t.ok(flow.intact);
    t.equal(exposeTunnels(gateways[0]!).length, 1);
  },
);

t.test('legs that are cut behind a balancer that takes turns resume, each at its own process', async t => {
  const { gateways, balancer, connects } = await startFleet(t, world, 3);
  const flows = connects.map(({ address }) => new Flow(address));
  await Promise.all(flows.map(flow => flow.step()));
  for (const { port } of gateways) balancer.cut(port);
  await Promise.all(flows.map(flow => flow.step()));
  t.ok(flows.every(({ intact }) => intact));
  for (const gateway of gateways) {
    t.equal(exposeTunnels(gateway).length, 1);
    t.ok(exposeTunnels(gateway, 'tunnel resumed').length >= 1);
  }
});
