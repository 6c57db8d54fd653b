import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadClientConfig } from '../../../lib/config/client.ts';
import { defaultTunnelLimits, exposeLimits } from '../../../lib/tunnel/options.ts';
import { connectionLimitsOf } from '../../../lib/tunnel-limits.ts';

t.test('limits of a connect come from its file, and a misspelt one is said with its line', async t => {
  const directory = t.testdir();
  const load = (limits: object) => {
    const path = join(directory, 'connect.json');
    writeFileSync(
      path,
      JSON.stringify({ gateway: 'localhost:1', target: 'autogen', listen: '127.0.0.1:0', limits }),
    );
    writeFileSync(join(directory, 'token'), 'a.b.c', { mode: 0o600 });
    const flags = { config: path, tokenFile: join(directory, 'token') };
    return loadClientConfig('connect', flags, { env: {}, nowMs: 0 });
  };
  t.match(await load({}), { limits: { pingInterval: 15_000, pingTimeout: 10_000, patience: 60_000 } });
  t.match(await load({ pingInterval: '1s', patience: '0ms' }), {
    limits: { pingInterval: 1_000, pingTimeout: 10_000, patience: 0 },
  });
  await t.rejects(load({ pingInterval: '10ms' }), { message: /pingInterval/ });
  await t.rejects(load({ patiense: '1s' }), { message: /patience/ });
});

t.test('the defaults of the config are those of the tunnel', async t => {
  const limits = { pingInterval: 15_000, pingTimeout: 10_000, patience: 60_000 };
  t.strictSame(connectionLimitsOf(defaultTunnelLimits, limits), defaultTunnelLimits);
});

t.test('a session that is to ping each second looks at its clocks three times in it', async t => {
  const wide = { ...defaultTunnelLimits, ...exposeLimits };
  const limits = connectionLimitsOf(wide, { pingInterval: 1_500, pingTimeout: 1_000, patience: 5_000 });
  t.match(limits, { tickMs: 500, watchTickMs: 200, suspectMs: 1_000, patienceMs: 5_000, maxStreams: 4_096 });
});
