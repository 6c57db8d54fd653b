import t from 'tap';
import type { LoadedGatewayConfig } from '../../../lib/config/loaded.ts';
import { LockwireError } from '../../../lib/core/errors.ts';
import { noMetrics, silentLog } from '../../../lib/core/ports.ts';
import { Reloader } from '../../../lib/gateway-reload.ts';
import type { Target } from '../../../lib/gateway-target.ts';
import { ManualClock } from '../../support/tunnel-pair.ts';

const stages = ['policies', 'identity', 'listener a', 'listener b'] as const;
type Stage = (typeof stages)[number];

const listener = (name: string) => ({
  name,
  bind: { host: '127.0.0.1', port: 0 },
  tls: { cert: '', key: '', minVersion: 'TLSv1.3', clientCertificates: 'none' },
});

/** As far as a reload looks at it. */
function configOf(change: object = {}): LoadedGatewayConfig {
  return {
    path: 'gateway.json',
    files: [],
    warnings: [],
    listeners: [listener('a'), listener('b')],
    issuers: [],
    certificates: [],
    targets: [{ name: 'old', kind: 'autogen-rpc', exclusive: true, upstream: { kind: 'tunnel' } }],
    policies: [],
    enrolment: 'optional',
    limits: { sessions: 1 },
    store: { path: 'data' },
    admin: { socketPath: 'admin.sock' },
    ...change,
  } as unknown as LoadedGatewayConfig;
}

const newTarget = { name: 'new', kind: 'autogen-rpc', exclusive: true, upstream: { kind: 'tunnel' } };
const changed = { targets: [newTarget], enrolment: 'required', limits: { sessions: 2 } };

/** A gateway whose parts note what was made ready and what was put in force; one of them may fail. */
function world(fault: { stage?: Stage; judge?: boolean } = {}) {
  const ready: string[] = [];
  const inForceNow: string[] = [];
  const lines: string[] = [];
  const prepare = (stage: Stage) => (): (() => void) => {
    if (fault.stage === stage) throw new LockwireError('config', `no good: ${stage}`);
    ready.push(stage);
    return () => void inForceNow.push(stage);
  };
  const config = configOf();
  const parts = {
    authorizer: { prepare: async () => prepare('policies')() },
    authenticator: { prepare: prepare('identity') },
    listeners: [
      { name: 'a', listener: { prepare: prepare('listener a') } },
      { name: 'b', listener: { prepare: prepare('listener b') } },
    ],
    targets: new Map<string, Target>([['old', {} as Target]]),
    requestRoutes: { replace: () => void inForceNow.push('routes') },
    admissions: { replace: () => void inForceNow.push('admissions') },
    judge: {
      enrolmentRequired: false,
      judgeAll: async () => {
        inForceNow.push('judged');
        if (fault.judge) throw new Error('a bug');
      },
    },
    inForce: { config },
  };
  let load: () => Promise<LoadedGatewayConfig> = async () => configOf(changed);
  const note = (_: unknown, message: string): void => void lines.push(message);
  const reloader = new Reloader(parts as unknown as ConstructorParameters<typeof Reloader>[0], {
    clock: new ManualClock(),
    log: { ...silentLog, error: note, info: note },
    metrics: noMetrics,
    load: () => load(),
  });
  const onLoad = (work: () => Promise<LoadedGatewayConfig>): void => {
    load = work;
  };
  return { reloader, parts, config, ready, inForceNow, lines, fault, onLoad };
}

type World = ReturnType<typeof world>;

function nothingChanged(t: Tap, { parts, config, inForceNow, lines }: World): void {
  t.same(inForceNow, [], 'nothing was put in force, of no part');
  t.equal(parts.inForce.config, config);
  t.same([...parts.targets.keys()], ['old']);
  t.equal(parts.judge.enrolmentRequired, false);
  t.same(lines, ['the new config is no good: the old one stays in force']);
}
type Tap = Pick<typeof t, 'same' | 'equal'>;

for (const stage of stages)
  t.test(`a fault in ${stage} changes nothing in any part, and the next good reload is taken`, async t => {
    const here = world({ stage });
    await t.rejects(here.reloader.now('test'), { code: 'config', message: `no good: ${stage}` });
    await t.rejects(here.reloader.now('test'), 'and again');
    nothingChanged(t, here);
    delete here.fault.stage;
    t.equal(await here.reloader.now('test'), 'reloaded gateway.json');
    t.same([...here.parts.targets.keys()], ['new']);
    here.reloader.close();
  });

t.test('a target whose CA is none changes nothing, though all before it was ready', async t => {
  const here = world();
  const upstream = { kind: 'dial', host: 'h.example', port: 1, serverName: 'h.example', ca: 'no PEM' };
  const bad = { name: 'bad', kind: 'tcp', exclusive: false, serverNames: [], upstream };
  here.onLoad(async () => configOf({ ...changed, targets: [newTarget, bad] }));
  await t.rejects(here.reloader.now('test'));
  t.same(here.ready, stages);
  nothingChanged(t, here);
  here.reloader.close();
});

t.test('what cannot be read, and what needs a restart, is not even made ready', async t => {
  for (const load of [
    async () => {
      throw new LockwireError('config', 'gateway.json:1: no JSON');
    },
    async () => configOf({ ...changed, store: { path: 'elsewhere' } }),
    async () => configOf({ ...changed, listeners: [listener('a')] }),
  ]) {
    const here = world();
    here.onLoad(load);
    await t.rejects(here.reloader.now('test'), { code: 'config' });
    t.same(here.ready, []);
    nothingChanged(t, here);
    here.reloader.close();
  }
});

t.test('a good one is put in force in one turn, after all of it was ready, and then judged by', async t => {
  const here = world();
  let seen: string[] | undefined;
  const [first] = here.parts.listeners;
  const { prepare } = first?.listener ?? {};
  if (first)
    first.listener.prepare = () => {
      // As soon as anything else could run.
      queueMicrotask(() => {
        seen = [...here.inForceNow];
      });
      return prepare?.() ?? (() => {});
    };
  await here.reloader.now('test');
  const all = ['policies', 'identity', 'listener a', 'listener b', 'routes', 'admissions'];
  t.same(here.ready, stages);
  t.same(seen, all, 'nobody sees a half');
  t.same(here.inForceNow, [...all, 'judged']);
  t.equal(here.parts.judge.enrolmentRequired, true);
  t.equal(here.parts.inForce.config.limits.sessions, 2);
  t.same(here.lines, ['config reloaded']);
  here.reloader.close();
});

t.test('where judging what lives fails, nobody is told that the old config were in force', async t => {
  const here = world({ judge: true });
  await t.rejects(here.reloader.now('test'), { message: 'a bug' });
  t.same([...here.parts.targets.keys()], ['new']);
  t.same(here.lines, ['the new config is in force, but not all that lives was judged by it']);
  here.reloader.close();
});
