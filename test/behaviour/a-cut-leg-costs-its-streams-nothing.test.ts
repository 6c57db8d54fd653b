import t from 'tap';
import { Cutter } from '../support/cuts-cutter.ts';
import { type Leg, legs, startCutWorld, summary, ways } from '../support/cuts-legs.ts';
import { EchoLoad } from '../support/cuts-load.ts';
import { World } from '../support/e2e-world.ts';
import { Random } from '../support/fuzz.ts';

// The whole of it, 100 cuts in each way on each leg, is test/long/a-hundred-cuts-in-each-way-cost-nothing.test.ts.
const seed = 20_261_124;

t.test('streams under traffic, each leg cut in six ways: no byte lost, doubled or swapped', async t => {
  const world = await World.make(t);
  const cut = await startCutWorld(world, seed, 4);
  for (const way of ways) {
    const times: number[] = [];
    const on: readonly Leg[] = way === 'both' ? ['connect'] : legs;
    // A black hole takes its time to be found out.
    const rounds = way === 'black-hole' ? 1 : 4;
    for (let i = 0; i < rounds; i += 1) for (const leg of on) times.push(await cut.cut(way, leg));
    t.pass(`${way}: ${times.length} cuts, ${summary(times)}`);
  }
  for (const leg of legs) t.ok((await cut.cut('rst', leg, 2_000)) >= 1_500, `${leg}, 2 s without a network`);
  await cut.load.end();
  t.pass(`${cut.load.bytes} B`);
  t.equal(cut.sessions(), 2, 'one session each, from the beginning to the end');
  t.ok(cut.resumes() >= 24, `${cut.resumes()} resumes`);
  t.notOk(
    cut.connect.logs.some(({ msg }) => msg === 'stream ended'),
    'no stream ended before its end',
  );
  for (const leg of legs) await cut.cutters[leg].close();
});

t.test('the same traffic through the same cutter alone is lost', async t => {
  const world = await World.make(t);
  const host = await world.host();
  const random = new Random(seed);
  const cutter = await Cutter.start(host.port, random);
  const load = new EchoLoad(`127.0.0.1:${cutter.port}`, 4, random);
  await load.flows();
  cutter.cut('rst');
  await t.rejects(load.flows(), { message: /closed with ECONNRESET/ });
  await load.end().catch(() => undefined);
  await cutter.close();
});
