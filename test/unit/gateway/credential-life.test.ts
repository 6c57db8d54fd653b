import t from 'tap';
import { type LogFields, silentLog } from '../../../lib/core/ports.ts';
import type { CloseReason } from '../../../lib/core/session.ts';
import { CredentialLife, renewalGraceMs } from '../../../lib/gateway-credential-life.ts';
import { LiveSessions, type LiveTunnel } from '../../../lib/gateway-live.ts';
import { createMetrics } from '../../../lib/observe/metrics.ts';
import { ManualClock } from '../../support/tunnel-pair.ts';

const hourMs = 3_600_000;

function world() {
  const clock = new ManualClock();
  const metrics = createMetrics();
  const live = new LiveSessions(metrics);
  const warnings: LogFields[] = [];
  const notices: CloseReason[] = [];
  const closed: CloseReason[] = [];
  const log = { ...silentLog, warn: (fields: LogFields) => warnings.push(fields) };
  const life = new CredentialLife({ clock, log, metrics, live });
  const credential = (id: string, lifeMs = hourMs) => ({
    kind: 'token' as const,
    id,
    issuedAtMs: clock.now(),
    expiresAtMs: clock.now() + lifeMs,
  });
  const principal = { kind: 'user' as const, issuer: 'corp', subject: 'alice', groups: [] };
  const session = {
    facts: { id: 's1' },
    notice: (reason: CloseReason) => notices.push(reason),
    close: (reason: CloseReason) => closed.push(reason),
  };
  const tunnel = {
    session,
    role: 'connect',
    target: '',
    identity: { principal, credential: credential('first') },
  } as unknown as LiveTunnel;
  live.tunnels.add(tunnel);
  life.watch(tunnel);
  const metric = async (name: string): Promise<string | undefined> =>
    new RegExp(`^${name}(?:\\{.*\\})? (\\d+)$`, 'm').exec(await metrics.render())?.[1];
  return { clock, life, live, tunnel, credential, warnings, notices, closed, metric };
}

t.test(
  'a token of an hour that was not renewed is warned of in its last 12 minutes, and ends with it',
  async t => {
    const { clock, warnings, notices, closed, metric } = world();
    clock.advance(hourMs * 0.8 - 1);
    t.equal(await metric('lockwire_tunnels_expiring'), '0');
    clock.advance(1);
    t.equal(await metric('lockwire_tunnels_expiring'), '1');
    clock.advance(renewalGraceMs - 1);
    t.same(warnings, [], 'who renews it at 80 % has a minute for that');
    clock.advance(1);
    t.match(warnings, [{ who: 'User::corp|alice', role: 'connect', kind: 'token', leftMs: 660_000 }]);
    t.match(notices, [{ code: 'expired', text: /^the token runs out at \S+ and was not renewed$/ }]);
    t.equal(await metric('lockwire_credentials_not_renewed_total'), '1');
    clock.advance(659_999);
    t.same(closed, []);
    clock.advance(1);
    t.match(closed, [{ code: 'expired' }]);
    t.equal(warnings.length, 1);
  },
);

t.test(
  'one that was renewed at 80 % is not warned of; one that comes late is, once, however often it resumes',
  async t => {
    const { clock, life, tunnel, credential, warnings, closed } = world();
    clock.advance(hourMs * 0.8 + 1_000);
    tunnel.identity = { ...tunnel.identity, credential: credential('second') };
    life.watch(tunnel);
    clock.advance(hourMs * 0.8);
    t.same(warnings, []);
    clock.advance(renewalGraceMs);
    for (let i = 0; i < 5; i += 1) {
      life.watch(tunnel);
      clock.advance(renewalGraceMs);
    }
    t.equal(warnings.length, 1);
    t.same(closed, []);
  },
);

t.test('a session that begins with 4 minutes left is warned of after one of them', async t => {
  const { clock, life, tunnel, warnings } = world();
  clock.advance(hourMs - 240_000);
  t.equal(warnings.length, 1);
  const late = { ...tunnel } as LiveTunnel;
  life.watch(late);
  clock.advance(59_000);
  t.equal(warnings.length, 1);
  clock.advance(1_000);
  t.equal(warnings.length, 2);
});

t.test('what ended is neither warned of nor kept', async t => {
  const { clock, life, tunnel, warnings, closed } = world();
  life.forget(tunnel);
  t.equal(clock.nextMs, undefined, 'no timer is left');
  clock.advance(2 * hourMs);
  t.same([warnings, closed], [[], []]);
});
