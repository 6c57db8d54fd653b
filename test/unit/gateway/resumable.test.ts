import { randomBytes } from 'node:crypto';
import t from 'tap';
import type { CloseReason, Identity } from '../../../lib/core/session.ts';
import type { LiveTunnel } from '../../../lib/gateway-live.ts';
import { type DetachedLimits, type Resumable, ResumableTunnels } from '../../../lib/gateway-resume.ts';
import type { TunnelSession } from '../../../lib/tunnel/session.ts';
import type { Hello, Resume, Role } from '../../../lib/wire/tunnel/frames.ts';
import { ManualClock } from '../../support/tunnel-pair.ts';

/** What the registry asks of a session. */
class FakeSession {
  readonly facts: { id: string };
  heldBytes = 0;
  attached = true;
  state = 'open';
  resumable = true;
  ended: CloseReason | undefined;
  onEnded: () => void = () => {};

  constructor(id: string) {
    this.facts = { id };
  }

  close(reason: CloseReason): void {
    if (this.ended) return;
    this.ended = reason;
    this.resumable = false;
    this.onEnded();
  }
}

function identityOf(subject: string, issuer = 'corp'): Identity {
  return {
    principal: { kind: 'user', issuer, subject, groups: [] },
    credential: { kind: 'token', id: 't', issuedAtMs: 0, expiresAtMs: 1 },
  };
}

interface Fake extends Resumable {
  readonly fake: FakeSession;
}

let made = 0;

function world(limits?: Partial<DetachedLimits>) {
  const clock = new ManualClock();
  const registry = new ResumableTunnels(clock, {
    maxDetached: 1_000,
    maxDetachedBytes: 256 * 1024 * 1024,
    maxDetachedPerPrincipal: 8,
    ...limits,
  });
  const make = (subject: string, instanceKey: Uint8Array = randomBytes(32), role: Role = 'connect'): Fake => {
    made += 1;
    const fake = new FakeSession(`s${made}`);
    const tunnel: LiveTunnel = {
      session: fake as unknown as TunnelSession,
      role,
      target: role === 'expose' ? 'autogen' : '',
      startedAtMs: 0,
      peer: '',
      instance: '',
      certificates: [],
      enrolment: undefined,
      identity: identityOf(subject),
      verify: async () => identityOf(subject),
    };
    const resumable: Fake = { tunnel, secret: randomBytes(32), instanceKey, fake };
    registry.add(resumable);
    fake.onEnded = () => registry.remove(resumable);
    return resumable;
  };
  const detach = (resumable: Fake, heldBytes = 0): void => {
    resumable.fake.heldBytes = heldBytes;
    resumable.fake.attached = false;
    registry.detached(resumable);
  };
  return { clock, registry, make, detach };
}

const resumeOf = (session: string): Resume => ({
  type: 'resume',
  session,
  attempt: 1,
  received: 0,
  proof: randomBytes(32),
});

const helloOf = (instanceKey: Uint8Array, role: Role = 'connect', target = ''): Hello => ({
  type: 'hello',
  nonce: randomBytes(32),
  role,
  target,
  token: 'a.b.c',
  instanceKey,
  signature: randomBytes(64),
  earlyWindow: 0,
  software: '',
  enrollment: '',
  purpose: 'serve',
});

t.test('a tunnel is found by its own principal, key, role and target, and by nobody else', async t => {
  const { registry, make } = world();
  const own = make('alice');
  const key = own.instanceKey;
  const resume = resumeOf(own.fake.facts.id);
  t.equal(registry.find(resume, helloOf(key), identityOf('alice')), own);
  t.equal(registry.find(resume, helloOf(key), identityOf('mallory')), undefined, 'another subject');
  t.equal(registry.find(resume, helloOf(key), identityOf('alice', 'other')), undefined, 'another issuer');
  t.equal(registry.find(resume, helloOf(randomBytes(32)), identityOf('alice')), undefined, 'another key');
  t.equal(registry.find(resume, helloOf(key, 'expose', 'autogen'), identityOf('alice')), undefined, 'a role');
  t.equal(registry.find(resumeOf('s0'), helloOf(key), identityOf('alice')), undefined, 'another session');
  own.fake.resumable = false;
  t.equal(registry.find(resume, helloOf(key), identityOf('alice')), undefined, 'one on its way out');
});

t.test('an expose is found for its own target only', async t => {
  const { registry, make } = world();
  const own = make('server', undefined, 'expose');
  const resume = resumeOf(own.fake.facts.id);
  const { instanceKey } = own;
  t.equal(registry.find(resume, helloOf(instanceKey, 'expose', 'autogen'), identityOf('server')), own);
  t.equal(registry.find(resume, helloOf(instanceKey, 'expose', 'studio'), identityOf('server')), undefined);
});

t.test(
  'maxDetachedPerPrincipal: of nine of a principal the oldest ends, and no other principal loses one',
  async t => {
    const { registry, make, detach } = world();
    const neighbour = make('bob');
    detach(neighbour);
    const own = Array.from({ length: 9 }, () => make('alice'));
    for (const one of own) detach(one);
    t.match(own[0]?.fake.ended, { code: 'limit', text: /more than 8 sessions of this principal/ });
    t.notOk(own.slice(1).some(({ fake }) => fake.ended));
    t.notOk(neighbour.fake.ended);
    t.equal(registry.detachedCount, 9);
  },
);

t.test('maxDetached: a thousand wait, of one more the oldest ends', async t => {
  const { registry, make, detach } = world();
  const all = Array.from({ length: 1_001 }, (_, i) => make(`user-${i}`));
  for (const one of all) detach(one);
  t.equal(registry.detachedCount, 1_000);
  t.match(all[0]?.fake.ended, { code: 'limit' });
  t.equal(all.filter(({ fake }) => fake.ended).length, 1);
});

t.test('maxDetachedBytes: 256 MiB in all, also where sessions grow while they wait', async t => {
  const { clock, registry, make, detach } = world();
  const all = Array.from({ length: 100 }, (_, i) => make(`user-${i}`));
  for (const one of all) detach(one, 2 * 1024 * 1024);
  t.equal(registry.detachedCount, 100);
  t.equal(registry.detachedBytes, 200 * 1024 * 1024);
  for (const { fake } of all) fake.heldBytes = 4 * 1024 * 1024;
  clock.advance(1_000);
  t.equal(registry.detachedCount, 64);
  t.ok(registry.detachedBytes <= 256 * 1024 * 1024);
  t.ok(
    all.slice(0, 36).every(({ fake }) => fake.ended?.code === 'limit'),
    'the oldest',
  );
});

t.test('what is attached again, or gone, counts no more', async t => {
  const { registry, make, detach } = world();
  const [a, b] = [make('alice'), make('alice')];
  detach(a, 1_000);
  detach(b, 1_000);
  registry.attached(a);
  t.equal(registry.detachedBytes, 1_000);
  b.fake.close({ code: 'session-lost', text: '' });
  t.equal(registry.detachedBytes, 0);
  t.equal(registry.detachedCount, 0);
  detach(a, 500);
  detach(a, 700);
  t.equal(registry.detachedBytes, 700, 'twice told, once counted');
});

t.test('a fresh Hello of the same key ends what its earlier process left, attached or not', async t => {
  const { registry, make, detach } = world();
  const key = randomBytes(32);
  const [left, looksAlive, draining, other] = [
    make('alice', key),
    make('alice', key),
    make('alice', key),
    make('alice'),
  ];
  detach(left);
  draining.fake.state = 'draining';
  registry.replacedBy(helloOf(key));
  t.match(left.fake.ended, { code: 'replaced' });
  t.match(looksAlive.fake.ended, { code: 'replaced' });
  t.notOk(draining.fake.ended, 'one that drains is the same process on its way out');
  t.notOk(other.fake.ended);
  t.equal(registry.detachedCount, 0);
});

t.test('ten thousand tunnels that are lost in one moment cost a fraction of a second', async t => {
  const { registry, make, detach } = world();
  const all = Array.from({ length: 10_000 }, (_, i) => make(`user-${i}`));
  const startedMs = performance.now();
  for (const one of all) detach(one, 65_536);
  const tookMs = performance.now() - startedMs;
  t.ok(tookMs < 1_000, `${Math.round(tookMs)} ms`);
  t.equal(registry.detachedCount, 1_000);
  t.equal(all.filter(({ fake }) => fake.ended).length, 9_000);
});
