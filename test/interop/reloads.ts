// Real AutoGen workers under steady load while the gateway's config changes under it: ten times, and once too often.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { connect as dial } from 'node:tls';
import { summary } from '../support/cuts-legs.ts';
import { dialRaw } from '../support/e2e-tunnel.ts';
import { type Gateway, makeIssuer, type Side, usualPolicy, World } from '../support/e2e-world.ts';
import { Random } from '../support/fuzz.ts';
import { admin } from '../support/store-admin.ts';
import { policyFile, rewriteConfig } from '../support/store-reload.ts';
import type { Result, Tally } from './autogen-suite.ts';
import { runCase, startHost } from './case.ts';
import { judgeUntilItsEnd, judgeWhole, leastMessages, Steady } from './steady.ts';

const seed = 20_261_124;

/** What asks for the reload; the log names it as its cause. */
type Cause = 'SIGHUP' | 'a file changed' | 'lockwire reload';

interface Change {
  readonly what: string;
  readonly cause: Cause;
  /** Writes the files; gives what is another from then on. */
  make(files: Files): Partial<InForce> | Promise<Partial<InForce>>;
  /** It is refused, and all stays as it was. */
  readonly bad?: boolean;
}

/** What the gateway shows of its config from outside. */
interface InForce {
  /** The listener's certificate. */
  readonly serial: string;
  /** What becomes of a guest that asks for a target nobody exposes: whether it is permitted shows in that. */
  readonly guest: 'denied' | 'unavailable';
}

const guests = `
@id("guests")
permit (principal in Lockwire::Group::"corp/guests", action == Lockwire::Action::"connect", resource);
`;
/** What the usual policy permits, by rules that it has not. */
const otherWords = `
@id("all-agents")
permit (principal, action in [Lockwire::Action::"connect", Lockwire::Action::"call", Lockwire::Action::"message"], resource)
when { principal in Lockwire::Group::"corp/agents" };
@id("the-host")
permit (principal == Lockwire::User::"corp|server", action == Lockwire::Action::"expose", resource);
`;
const noAgents = `
@id("hosts")
permit (principal in Lockwire::Group::"corp/hosts", action == Lockwire::Action::"expose", resource);
`;

const renewed = async (files: Files): Promise<Partial<InForce>> => ({ serial: await files.renew() });
const policy =
  (text: string, guest: InForce['guest']) =>
  (files: Files): Partial<InForce> => {
    files.policy(text);
    return { guest };
  };

const changes: readonly Change[] = [
  { what: 'a rule more', cause: 'SIGHUP', make: policy(usualPolicy + guests, 'unavailable') },
  { what: 'a renewed certificate', cause: 'a file changed', make: renewed },
  { what: 'a rule less', cause: 'lockwire reload', make: policy(usualPolicy, 'denied') },
  { what: 'another limit', cause: 'SIGHUP', make: files => files.config({ limits: { sessions: 500 } }) },
  {
    what: 'a policy with a slip',
    cause: 'a file changed',
    make: policy('permit (principal, action, resuorce);', 'denied'),
    bad: true,
  },
  {
    what: 'the same permits in other words, and a rule more',
    cause: 'a file changed',
    make: policy(otherWords + guests, 'unavailable'),
  },
  { what: 'one more key of the issuer', cause: 'lockwire reload', make: files => files.anotherKey() },
  { what: 'a renewed certificate', cause: 'SIGHUP', make: renewed },
  {
    what: 'a target less',
    cause: 'lockwire reload',
    make: files => files.config({ targets: files.targets.filter(({ name }) => name !== 'autogen') }),
  },
  { what: 'the usual rules', cause: 'a file changed', make: policy(usualPolicy, 'denied') },
];

/** What the gateway reads. */
class Files {
  readonly #world: World;
  readonly #gateway: Gateway;

  constructor(world: World, gateway: Gateway) {
    this.#world = world;
    this.#gateway = gateway;
  }

  get targets(): readonly { readonly name: string }[] {
    return JSON.parse(readFileSync(this.#gateway.config, 'utf8')).targets;
  }

  policy(text: string): void {
    this.#world.file(policyFile(this.#world, this.#gateway), text);
  }

  config(settings: object): Partial<InForce> {
    rewriteConfig(this.#world, this.#gateway, config => void Object.assign(config, settings));
    return {};
  }

  /** Gives the serial number of the listener's new certificate. */
  async renew(): Promise<string> {
    const { certPem, keyPem, serial } = await this.#world.authority.issue({
      dns: ['gateway.example', 'localhost'],
      ips: ['127.0.0.1'],
    });
    this.#world.file('gateway.pem', certPem);
    this.#world.file('gateway.key', keyPem);
    return serial.toLowerCase();
  }

  async anotherKey(): Promise<Partial<InForce>> {
    const { keys } = JSON.parse(readFileSync(join(this.#world.directory, 'issuer.jwks.json'), 'utf8'));
    const [next] = JSON.parse((await makeIssuer()).jwks).keys;
    this.#world.file('issuer.jwks.json', JSON.stringify({ keys: [...keys, { ...next, kid: 'key-2' }] }));
    return {};
  }
}

async function shownSerial(world: World, { port }: Gateway): Promise<string> {
  const ca = world.authority.certPem;
  const options = {
    host: '127.0.0.1',
    port,
    servername: 'gateway.example',
    ca,
    ALPNProtocols: ['lockwire/1'],
  };
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = dial(options, () => resolve(socket.getPeerX509Certificate()?.serialNumber ?? ''));
  socket.once('error', reject);
  return (await promise.finally(() => socket.destroy())).toLowerCase();
}

async function guestGets(world: World, { port }: Gateway): Promise<string> {
  const token = await world.token({ sub: 'guest', groups: ['guests'] });
  const raw = await dialRaw({ port, ca: world.authority.certPem, role: 'connect', token });
  const { code } = await raw.open('plain').untilClosed();
  raw.session.close({ code: 'done', text: '' });
  return code;
}

/** Has the config read anew; gives how long that took, and what is another since. */
async function reload(
  gateway: Gateway,
  files: Files,
  { make, cause, bad }: Change,
): Promise<{ tookMs: number; next: Partial<InForce> }> {
  const before = gateway.program.logs.length;
  const next = await make(files);
  const startedMs = performance.now();
  if (cause === 'SIGHUP') gateway.program.signal('SIGHUP');
  if (cause === 'lockwire reload') await admin(gateway, 'POST', '/reload', {});
  const msg = bad ? 'the new config is no good: the old one stays in force' : 'config reloaded';
  await gateway.program.logged(line => line.msg === msg && line.cause === cause, msg, before);
  return { tookMs: performance.now() - startedMs, next: bad ? {} : next };
}

export function reloadUnderLoad(name: string): Promise<Result> {
  return runCase(name, async (tally, undo) => {
    const { address } = await startHost(undo);
    const world = await World.make(undo);
    const gateway = await world.gateway();
    await world.expose(gateway, { target: 'rpc', to: address });
    const [a, b] = await Promise.all([1, 2].map(() => world.connect(gateway, { target: 'rpc' })));
    if (!a || !b) return;
    const steady = await Steady.start(undo, [a.address, b.address]);

    const files = new Files(world, gateway);
    const random = new Random(seed);
    let inForce: InForce = { serial: await shownSerial(world, gateway), guest: 'denied' };
    const times: number[] = [];
    for (const change of changes) {
      await after(random.int(500));
      const { tookMs, next } = await reload(gateway, files, change);
      times.push(tookMs);
      inForce = { ...inForce, ...next };
      const shown = { serial: await shownSerial(world, gateway), guest: await guestGets(world, gateway) };
      const flowsMs = await steady.flows();
      tally.add(
        `${change.what} (${change.cause}): ${change.bad ? 'refused' : 'in force'} after ${tookMs.toFixed(0)} ms, a call is answered in ${flowsMs.toFixed(0)} ms`,
        shown.serial === inForce.serial && shown.guest === inForce.guest,
        `${JSON.stringify(shown)} where ${JSON.stringify(inForce)} was due`,
      );
    }
    const outcome = await steady.end();
    judgeWhole(tally, outcome);
    tally.add(`ten reloads: ${summary(times)}; the slowest answer of all ${outcome.slowestMs} ms`, true);
    const ended = gateway.program.logs.filter(
      ({ msg, who }) => /^(tunnel ended|connection lost)/.test(msg ?? '') && !String(who).includes('guest'),
    );
    tally.add('no session under them ended or was cut', ended.length === 0, JSON.stringify(ended[0]));

    const last = await Steady.start(undo, [a.address, b.address], 'last');
    await losesItsPermit(tally, last, gateway, files, [a, b]);
  });
}

/** What ten reloads did not do to a worker, the eleventh does. */
async function losesItsPermit(
  tally: Tally,
  load: Steady,
  gateway: Gateway,
  files: Files,
  connects: readonly Side[],
): Promise<void> {
  await load.carries(leastMessages);
  // The worker hears it as a gRPC status, the person at each connect as a line.
  const told = connects.map(({ program }) => program.line(/denied: connect rpc \(default-deny\)/));
  const startedMs = performance.now();
  files.policy(noAgents);
  gateway.program.signal('SIGHUP');
  await Promise.all(told);
  const tookMs = performance.now() - startedMs;
  tally.add(
    `a permit less: both workers' calls end and both connects say why after ${tookMs.toFixed(0)} ms`,
    tookMs < 1_000,
  );
  judgeUntilItsEnd(tally, await load.end('ended'));
}
