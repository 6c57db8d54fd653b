import t from 'tap';
import { Bearer } from '../support/cuts-bearer.ts';
import { Cutter } from '../support/cuts-cutter.ts';
import { quickLimits } from '../support/cuts-legs.ts';
import { ignore } from '../support/e2e-sockets.ts';
import { World } from '../support/e2e-world.ts';
import { Random } from '../support/fuzz.ts';
import { readAll } from '../support/tunnel-pair.ts';

const mebibyte = 1024 * 1024;
const principals = 130;
const each = 8;
/** What each pushes into a stream that nobody reads at the other end. */
const pushedBytes = 512 * 1024;

t.test(
  'a thousand sessions without a connection, each with a stalled stream, stay within 256 MiB',
  async t => {
    const world = await World.make(t);
    const gateway = await world.gateway({
      limits: quickLimits,
      listener: { maxUnfinishedPerSource: 512 },
    });
    const host = await world.host(ignore);
    await world.expose(gateway, { target: 'plain', to: host.address });
    const cutter = await Cutter.start(gateway.port, new Random(1));
    const bearers: Bearer[] = [];
    const enter = async (number: number): Promise<void> => {
      const token = await world.token({ sub: `user-${number}`, groups: ['agents'] });
      for (let i = 0; i < each; i += 1) {
        const bearer = new Bearer({ port: cutter.port, ca: world.authority.certPem, token });
        await bearer.enter();
        const stream = bearer.session.open('plain', 'unix');
        readAll(stream);
        stream.write(Buffer.alloc(pushedBytes));
        bearers.push(bearer);
      }
    };
    // A few, to have the gateway warm.
    await enter(0);
    const before = gateway.program.residentBytes();
    for (let number = 1; number < principals; number += 10) {
      await Promise.all(
        Array.from({ length: Math.min(10, principals - number) }, (_, i) => enter(number + i)),
      );
    }
    const attached = gateway.program.residentBytes();
    // The network goes: nobody is told, and the gateway's own pings find it out.
    cutter.cut('black-hole');
    const lost = (): number =>
      gateway.program.logs.filter(({ msg }) => msg === 'connection lost; waiting for another').length;
    const ended = (): number =>
      gateway.program.logs.filter(({ msg, reason }) => msg === 'tunnel ended' && reason === 'limit').length;
    await gateway.program.until(() => lost() === principals * each, 'that all are lost');
    await gateway.program.until(() => ended() >= principals * each - 1_000, 'that the oldest ended');
    t.equal(ended(), principals * each - 1_000, 'beyond a thousand the oldest ended');
    const after = gateway.program.residentBytes();
    const grown = Math.round((after - before) / mebibyte);
    const said = `${Math.round((attached - before) / mebibyte)} MiB while attached, ${grown} MiB detached`;
    t.ok(grown < 256, said);
    const { session, secret } = bearers.at(-1) as Bearer;
    const fresh = new Bearer({ ...(bearers.at(-1) as Bearer).options, port: gateway.port });
    t.equal(
      await fresh.claim({ session: session.facts.id, secret, attempt: 1, received: 0 }),
      'fresh',
      'served',
    );
    await cutter.close();
  },
);
