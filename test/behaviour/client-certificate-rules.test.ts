import t, { type Test } from 'tap';
import type { ListenerTls } from '../../lib/transport/options.ts';
import { type Authority, type Issued, makeAuthority, selfSigned } from '../support/transport-certificates.ts';
import { TurnedClock } from '../support/transport-clock.ts';
import { exchange, type Harness, startListener } from '../support/transport-listener.ts';

const day = 86_400_000;
const workloads = await makeAuthority({ name: 'Workloads' });
const others = await makeAuthority({ name: 'Others' });
/** Same name as the real one: only the signature tells. */
const impostor = await makeAuthority({ name: 'Workloads' });
const honest = await workloads.issue({ uris: ['spiffe://corp/worker'], usages: ['client'] });

const wrong: Record<string, Issued> = {
  expired: await workloads.issue({
    uris: ['spiffe://corp/worker'],
    notBefore: new Date(Date.now() - 2 * day),
    notAfter: new Date(Date.now() - day),
  }),
  'not yet valid': await workloads.issue({
    uris: ['spiffe://corp/worker'],
    notBefore: new Date(Date.now() + day),
  }),
  'self-signed': await selfSigned({ uris: ['spiffe://corp/worker'] }),
  'of another authority': await others.issue({ uris: ['spiffe://corp/worker'] }),
  "of another authority with the real one's name": await impostor.issue({ uris: ['spiffe://corp/worker'] }),
  'for servers only': await workloads.issue({ uris: ['spiffe://corp/worker'], usages: ['server'] }),
};

function listen(
  t: Test,
  clientCertificates: ListenerTls['clientCertificates'],
  authorities: Authority[] = [workloads],
): Promise<Harness> {
  return startListener({
    serve: true,
    tls: { clientCertificates, clientAuthorities: authorities.map(({ certPem }) => certPem) },
    routes: { tcp: [{ target: 'legacy', serverNames: ['legacy.example'], clientCertificate: true }] },
  }).then(harness => {
    t.teardown(() => harness.close());
    return harness;
  });
}

const credentials = ({ certPem: cert, keyPem: key }: Issued) => ({ cert, key });

for (const mode of ['optional', 'required'] as const) {
  t.test(
    `where they are ${mode}, the honest one passes with its chain and each wrong one is refused`,
    async t => {
      const harness = await listen(t, mode);
      for (const [name, issued] of Object.entries(wrong)) {
        await t.rejects(exchange(harness.dialer(credentials(issued))), name);
        t.match(harness.logged.at(-1)?.fields, { reason: 'client-certificate' }, name);
        t.match((await exchange(harness.dialer(credentials(honest)))).text, 'hello', `honest after ${name}`);
      }
      t.equal(harness.connections.length, Object.keys(wrong).length, 'only honest ones were handed over');
      t.same(
        harness.connections[0]?.certificates.map(der => Buffer.from(der).toString('hex')),
        [honest.der.toString('hex'), workloads.der.toString('hex')],
      );
    },
  );
}

t.test('one that is withheld is refused where required, passes where optional', async t => {
  const required = await listen(t, 'required');
  await t.rejects(exchange(required.dialer()));
  t.match(required.logged, [{ fields: { reason: 'client-certificate', detail: 'no client certificate' } }]);
  t.equal((await exchange(required.dialer(credentials(honest)))).text, 'hello');
  const optional = await listen(t, 'optional');
  t.equal((await exchange(optional.dialer())).text, 'hello');
  t.same(optional.connections[0]?.certificates, []);
});

t.test(
  'a TCP target that wants one refuses those without, though the listener lets tunnels do without',
  async t => {
    const harness = await listen(t, 'optional');
    const legacy = { serverName: 'legacy.example', alpn: [] };
    await t.rejects(exchange(harness.dialer(legacy)));
    t.equal(harness.connections.length, 0);
    t.equal((await exchange(harness.dialer({ ...legacy, ...credentials(honest) }))).text, 'hello');
    t.same(harness.connections[0]?.route, { kind: 'tcp', target: 'legacy' });
    t.equal((await exchange(harness.dialer())).text, 'hello', 'a tunnel without one');
  },
);

t.test('an HTTP/2 client is asked for one as the listener says, and its chain comes with it', async t => {
  const h2 = { alpn: ['h2'] };
  for (const rule of ['required', 'optional'] as const) {
    const harness = await listen(t, rule);
    harness.replace({ routes: { tunnel: true, http2: true, tcp: [] } });
    const bare = exchange(harness.dialer(h2));
    if (rule === 'required') await t.rejects(bare, 'without one, where it is required');
    else t.equal((await bare).text, 'hello', 'without one, where it is optional');
    t.equal((await exchange(harness.dialer({ ...h2, ...credentials(honest) }))).text, 'hello');
    const last = harness.connections.at(-1);
    t.same(last?.route, { kind: 'http2' });
    t.same(Buffer.from(last?.certificates[0] ?? []).toString('hex'), honest.der.toString('hex'));
    await t.rejects(exchange(harness.dialer({ ...h2, ...credentials(wrong['self-signed'] as Issued) })));
    t.equal(harness.connections.at(-1), last, 'a bad one is refused before it is handed over');
  }
});

t.test('a listener that asks for none is sent none', async t => {
  const harness = await listen(t, 'none', []);
  t.equal((await exchange(harness.dialer(credentials(wrong['self-signed'] as Issued)))).text, 'hello');
  t.same(harness.connections[0]?.certificates, []);
});

t.test('certificates without an authority for them are a config error, not the machine’s roots', async t => {
  await t.rejects(startListener({ tls: { clientCertificates: 'optional' } }), {
    code: 'config',
    message: /no authority for them is given/,
  });
});

t.test('a chain over a sub-authority comes whole and in order; without the link it is refused', async t => {
  const harness = await listen(t, 'required', [others, workloads]);
  const below = await workloads.subordinate({ name: 'Below' });
  const leaf = await below.issue({ uris: ['spiffe://corp/deep'] });
  const chained = { cert: leaf.certPem + below.certPem, key: leaf.keyPem };
  t.equal((await exchange(harness.dialer(chained))).text, 'hello');
  t.same(
    harness.connections[0]?.certificates.map(der => Buffer.from(der).toString('hex')),
    [leaf, below, workloads].map(({ der }) => der.toString('hex')),
  );
  await t.rejects(exchange(harness.dialer(credentials(leaf))));
  const falseLeaf = await honestAsAuthority();
  await t.rejects(exchange(harness.dialer(falseLeaf)), 'a leaf signed by a leaf');
});

/** The honest workload plays authority. */
async function honestAsAuthority(): Promise<{ cert: string; key: string }> {
  const imitation = await makeAuthority({ name: 'spiffe://corp/worker' });
  const leaf = await imitation.issue({ uris: ['spiffe://corp/admin'] });
  return { cert: leaf.certPem + honest.certPem, key: leaf.keyPem };
}

t.test('a session whose certificate ran out meanwhile is not resumed as if it had not', async t => {
  const clock = new TurnedClock();
  const harness = await startListener({
    serve: true,
    clock,
    tls: { clientCertificates: 'required', clientAuthorities: [workloads.certPem] },
  });
  t.teardown(() => harness.close());
  const short = await workloads.issue({
    uris: ['spiffe://corp/short'],
    notAfter: new Date(Date.now() + 3_600_000),
  });
  const dialer = harness.dialer(credentials(short));
  t.match(await exchange(dialer), { resumed: false });
  t.match(await exchange(dialer), { resumed: true });
  t.equal(harness.connections[1]?.certificates.length, 2, 'a resumed session has its whole chain too');
  clock.turn(3_600_000 + 2000);
  await t.rejects(exchange(dialer));
  t.match(harness.logged.at(-1)?.fields, { reason: 'client-certificate', detail: /good from/ });
});
