import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { adminAddressOf, adminGet } from '../support/e2e-admin.ts';
import { Balancer } from '../support/e2e-balancer.ts';
import { run } from '../support/e2e-program.ts';
import { exchange, type Talk, talk } from '../support/e2e-sockets.ts';
import { dialRaw, makeInstanceKey } from '../support/e2e-tunnel.ts';
import { type Gateway, type Side, World } from '../support/e2e-world.ts';
import { rewriteConfig } from '../support/store-reload.ts';

const world = await World.make(t);

interface Fleet {
  readonly gateways: readonly Gateway[];
  readonly balancer: Balancer;
  readonly expose: Side;
  /** One to each gateway, past the balancer. */
  readonly connects: readonly Side[];
}

/** So many gateway processes behind one address, each with a store of its own. */
async function fleet(processes: number): Promise<Fleet> {
  const host = await world.host();
  const gateways = await Promise.all(
    Array.from({ length: processes }, () =>
      world.gateway({ instances: processes, admin: { bind: '127.0.0.1:0' } }),
    ),
  );
  const balancer = await Balancer.start(
    t,
    gateways.map(({ port }) => port),
  );
  const expose = await world.expose(balancer, { to: host.address });
  const connects = await Promise.all(gateways.map(gateway => world.connect(gateway)));
  await has(expose, processes, processes);
  return { gateways, balancer, expose, connects };
}

/** The last that expose said of its tunnels is this. */
async function has({ program }: Side, tunnels: number, instances: number): Promise<void> {
  const said = (): unknown[] => program.logs.filter(({ msg }) => msg === 'tunnels to gateway processes');
  await program.until(() => {
    const last = said().at(-1) as { tunnels?: number; instances?: number } | undefined;
    return last?.tunnels === tunnels && last.instances === instances;
  }, `tunnels to ${tunnels} of ${instances}`);
}

const exposeTunnels = ({ program }: Gateway, msg = 'tunnel up') =>
  program.logs.filter(line => line.msg === msg && line.role === 'expose');

/** A stream that echoes all along: every byte of it is looked at. */
class Flow {
  readonly #talk: Talk;
  #sent = '';

  constructor(address: string) {
    this.#talk = talk(address);
  }

  async step(): Promise<void> {
    const next = `${this.#sent.length},`;
    this.#sent += next;
    this.#talk.write(next);
    await this.#talk.received(this.#sent.length);
  }

  async until(done: Promise<unknown>): Promise<number> {
    let over = false;
    const settled = done.finally(() => {
      over = true;
    });
    let steps = 0;
    for (; !over; steps += 1) {
      await this.step();
      // Steady traffic, not a load.
      await pause(5);
    }
    await settled;
    return steps;
  }

  get intact(): boolean {
    return this.#talk.text === this.#sent;
  }

  get closed(): Promise<string> {
    return this.#talk.closed;
  }
}

async function looksAt(gateway: Gateway): Promise<number> {
  const { body: page } = await adminGet(await adminAddressOf(gateway.program), '/metrics');
  t.match(page, /^lockwire_instances [23]$/m);
  return Number(/^lockwire_tunnel_looks_total (\d+)$/m.exec(page)?.[1]);
}

t.test('3 gateways behind one address: a connect to any of them reaches the host', async t => {
  const { gateways, balancer, expose, connects } = await fleet(3);
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
    const { gateways, balancer, expose, connects } = await fleet(2);
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

t.test(
  'a drain of one of 2: its stream runs on, its successor gets a tunnel, the other notices nothing',
  async t => {
    const { gateways, balancer, expose, connects } = await fleet(2);
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
    const { gateways, balancer, expose, connects } = await fleet(2);
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
  const { gateways, balancer, connects } = await fleet(3);
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
