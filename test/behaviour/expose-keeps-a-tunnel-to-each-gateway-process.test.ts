import t from 'tap';
import { adminAddressOf, adminGet } from '../support/e2e-admin.ts';
import { exposeTunnels, Flow, has, startFleet } from '../support/e2e-fleet.ts';
import { exchange } from '../support/e2e-sockets.ts';
import { dialRaw, makeInstanceKey } from '../support/e2e-tunnel.ts';
import { type Gateway, World } from '../support/e2e-world.ts';

const world = await World.make(t);

async function looksAt(gateway: Gateway): Promise<number> {
  const { body: page } = await adminGet(await adminAddressOf(gateway.program), '/metrics');
  t.match(page, /^lockwire_instances [23]$/m);
  return Number(/^lockwire_tunnel_looks_total (\d+)$/m.exec(page)?.[1]);
}

t.test('3 gateways behind one address: a connect to any of them reaches the host', async t => {
  const { gateways, balancer, expose, connects } = await startFleet(t, world, 3);
  t.match(
    expose.program.text,
    /expose ready for \S+, target .* as \S+, tunnels to 1 of 3 gateway processes so far/,
  );
  for (const [index, connect] of connects.entries())
    t.equal(await exchange(connect.address, `by ${index}`), `by ${index}`);
  for (const gateway of gateways) t.equal(exposeTunnels(gateway).length, 1);
  const through = await Promise.all([1, 2, 3].map(() => world.connect(balancer)));
  for (const { address } of through) t.equal(await exchange(address, 'balanced'), 'balanced');
});

t.test(
  'kill -9 of one of 2 and a restart: the other has traffic all along, looks land there and disturb nothing',
  async t => {
    const { gateways, balancer, expose, connects } = await startFleet(t, world, 2);
    const [a, b] = gateways as [Gateway, Gateway];
    const flow = new Flow(connects[0]!.address);
    await flow.step();
    const before = await looksAt(a);
    await b.program.kill();
    balancer.backends = [a.port];
    const lost = await flow.until(has(expose, 1, 2));
    // Two more looks land on the live one, while it is busy.
    const steps = await flow.until(balancer.counted(a.port, balancer.count(a.port) + 2));
    t.ok((await looksAt(a)) > before, `looks at the live one: ${await looksAt(a)}`);
    t.ok(lost > 0 && steps > 0, `${lost} and ${steps} round trips meanwhile`);
    const again = await world.gateway({ instances: 2 });
    balancer.backends = [a.port, again.port];
    await flow.until(has(expose, 2, 2));
    const connect = await world.connect(again);
    t.equal(await exchange(connect.address, 'found again'), 'found again');
    t.ok(flow.intact);
    t.equal(exposeTunnels(a).length, 1, 'one tunnel all along');
    t.same(exposeTunnels(a, 'tunnel ended'), []);
    t.notMatch(a.program.text, /tunnel refused/, 'a look is no refusal');
  },
);

t.test('what a look must not be: a Hello of the same key, which ends the session that lives', async t => {
  const gateway = await world.gateway({ instances: 2 });
  const common = {
    port: gateway.port,
    ca: world.authority.certPem,
    role: 'expose',
    target: 'autogen',
    token: await world.token({ sub: 'server', groups: ['hosts'] }),
    instanceKey: makeInstanceKey(),
  } as const;
  const first = await dialRaw(common);
  t.equal(first.welcome.instances, 2);
  const other = await dialRaw({ ...common, instanceKey: makeInstanceKey() });
  await dialRaw(common);
  t.match(await first.closed, { code: 'replaced' });
  t.equal(other.session.state, 'open', 'of another key nothing ends');
});
