import { isDeepStrictEqual } from 'node:util';
import type { ReplaceableAuthenticator } from './access/identity/authenticator.ts';
import type { ReplaceableAuthorizer } from './access/policy/authorizer.ts';
import type { LoadedGatewayConfig } from './config/loaded.ts';
import { formatProblem } from './config/problem.ts';
import { type FileWatch, watchFiles } from './config/watch-files.ts';
import { formatAddress } from './core/address.ts';
import type { Clock } from './core/clock.ts';
import { invariant, LockwireError, messageOf } from './core/errors.ts';
import type { Log, Metrics } from './core/ports.ts';
import type { Admissions } from './gateway-admissions.ts';
import type { Judge } from './gateway-judge.ts';
import type { LiveSessions } from './gateway-live.ts';
import { identityOptions, listenerOptions, makeTarget, policyOptions } from './gateway-options.ts';
import type { RequestRoutes } from './gateway-request-routes.ts';
import type { Target } from './gateway-target.ts';
import type { Listener } from './transport/listener.ts';

/** What a config decides about while the gateway runs. */
export interface Reloaded {
  readonly authenticator: Pick<ReplaceableAuthenticator, 'prepare'>;
  readonly authorizer: Pick<ReplaceableAuthorizer, 'prepare'>;
  readonly listeners: readonly { readonly name: string; readonly listener: Pick<Listener, 'prepare'> }[];
  readonly targets: Map<string, Target>;
  readonly requestRoutes: Pick<RequestRoutes, 'replace'>;
  readonly admissions: Pick<Admissions, 'replace'>;
  readonly judge: Pick<Judge, 'judgeAll' | 'enrolmentRequired'>;
  readonly live: Pick<LiveSessions, 'tunnels'>;
  /** Limits of new sessions, and of the drain: read when they are needed. */
  readonly inForce: { config: LoadedGatewayConfig };
}

export interface ReloadPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Reads the config and all that it names anew. */
  readonly load: () => Promise<LoadedGatewayConfig>;
}

/**
 * Takes a new config while the gateway runs: whole, or not at all. What lives is judged by it; what the new rules do
 * not forbid goes on untouched.
 */
export class Reloader {
  readonly #parts: Reloaded;
  readonly #ports: ReloadPorts;
  readonly #count: (result: string) => { add(): void };
  readonly #watch: FileWatch;
  #failure = '';
  #watched: readonly string[];
  #running: Promise<unknown> = Promise.resolve();
  #asked = false;

  constructor(parts: Reloaded, ports: ReloadPorts) {
    this.#parts = parts;
    this.#ports = ports;
    this.#count = ports.metrics.counters('lockwire_reloads_total', 'Reloads of the config, by result.', [
      'result',
    ]);
    ports.metrics.gauge(
      'lockwire_config_failed',
      '1 while the config on disk is no good and an older one is in force.',
      () => (this.#failure === '' ? 0 : 1),
    );
    this.#watched = parts.inForce.config.files;
    this.#watch = watchFiles(parts.inForce.config.files, ports.clock, () => this.soon('a file changed'));
  }

  /** Reloads; a problem is logged, once until it is another one. Of many that are asked for meanwhile, one follows. */
  soon(cause: string): void {
    if (this.#asked) return;
    this.#asked = true;
    void this.#next(() => {
      this.#asked = false;
      return this.#reload(cause);
    }).catch(() => {});
  }

  /** Reloads and says what came of it. Throws LockwireError where the config is no good: then nothing changed. */
  now(cause: string): Promise<string> {
    return this.#next(() => this.#reload(cause));
  }

  close(): void {
    this.#watch.close();
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#running.then(work, work);
    this.#running = next.catch(() => {});
    return next;
  }

  async #reload(cause: string): Promise<string> {
    const { log, load } = this.#ports;
    const { inForce } = this.#parts;
    // Before they are read: what is written meanwhile is a change again.
    this.#watch.watch(inForce.config.files);
    let next: LoadedGatewayConfig;
    let sources: ReadonlySet<string>;
    try {
      next = await load();
      sources = await this.#take(next);
    } catch (error) {
      this.#count('failed').add();
      const detail = messageOf(error);
      // Whoever edits a file saves it more than once: the same complaint is said once.
      if (detail !== this.#failure)
        log.error(
          { cause, file: inForce.config.path, detail },
          'the new config is no good: the old one stays in force',
        );
      this.#failure = detail;
      throw error;
    }
    await this.#taken(next, sources, cause);
    return `reloaded ${next.path}`;
  }

  /** It is in force: what follows from that. */
  async #taken(next: LoadedGatewayConfig, sources: ReadonlySet<string>, cause: string): Promise<void> {
    const { log } = this.#ports;
    if (!isDeepStrictEqual(next.files, this.#watched)) this.#watch.watch(next.files);
    this.#watched = next.files;
    this.#failure = '';
    this.#count('ok').add();
    for (const warning of next.warnings) log.warn({}, formatProblem(warning));
    try {
      await this.#parts.judge.judgeAll(sources);
    } catch (error) {
      // Our own bug; that the old config were in force would be a lie.
      log.error(
        { cause, file: next.path, detail: messageOf(error) },
        'the new config is in force, but not all that lives was judged by it',
      );
      throw error;
    }
    log.info({ cause, file: next.path }, 'config reloaded');
  }

  /** Gives the issuers and authorities that are other than before. */
  async #take(next: LoadedGatewayConfig): Promise<ReadonlySet<string>> {
    const former = this.#parts.inForce.config;
    checkLasting(former, next);
    const { policies, known } = policyOptions(next);
    const commitPolicies = await this.#parts.authorizer.prepare(policies, known);
    // In one turn from here on: no connection sees one half of the old config and one of the new.
    const commits = [commitPolicies, ...this.#prepare(next)];
    for (const commit of commits) commit();
    return changedSources(former, next);
  }

  /** All else that can fail, beside what is in force; what it gives cannot. */
  #prepare(next: LoadedGatewayConfig): (() => void)[] {
    const { authenticator, listeners } = this.#parts;
    const commits = [authenticator.prepare(identityOptions(next))];
    for (const entry of next.listeners) {
      const listener = listeners.find(({ name }) => name === entry.name)?.listener;
      invariant(listener, `no listener ${entry.name}, though the config's listeners did not change`);
      commits.push(listener.prepare(listenerOptions(entry, next)));
    }
    const made = next.targets.map(target => this.#targetOf(target));
    commits.push(() => this.#put(next, made));
    return commits;
  }

  /** A target that stays as it is keeps its dialer, and with it the TLS session that spares handshakes. */
  #targetOf(target: LoadedGatewayConfig['targets'][number]): Target {
    const { targets, inForce } = this.#parts;
    const former = inForce.config.targets.find(({ name }) => name === target.name);
    const known = targets.get(target.name);
    return known && isDeepStrictEqual(former, target) ? known : makeTarget(target, this.#ports.clock);
  }

  #put(next: LoadedGatewayConfig, made: readonly Target[]): void {
    const { targets, requestRoutes, admissions, judge, live, inForce } = this.#parts;
    targets.clear();
    for (const target of made) targets.set(target.name, target);
    requestRoutes.replace(made);
    admissions.replace(next.limits);
    judge.enrolmentRequired = next.enrolment === 'required';
    if (next.instances !== inForce.config.instances)
      for (const { session } of live.tunnels) session.tellInstances(next.instances);
    inForce.config = next;
  }
}

/** What a running gateway cannot change is said, all of it at once; a config that asks for it is refused whole. */
function checkLasting(former: LoadedGatewayConfig, next: LoadedGatewayConfig): void {
  const changes: string[] = [];
  const differ = (what: string, before: unknown, after: unknown): void => {
    if (!isDeepStrictEqual(before, after)) changes.push(`${what} from ${shown(before)} to ${shown(after)}`);
  };
  differ('store.path', former.store.path, next.store.path);
  differ('admin.socket', former.admin.socketPath, next.admin.socketPath);
  differ('admin.bind', addressOf(former.admin.bind), addressOf(next.admin.bind));
  const names = (config: LoadedGatewayConfig): string => config.listeners.map(({ name }) => name).join(', ');
  differ('listeners', names(former), names(next));
  for (const before of former.listeners) {
    const after = next.listeners.find(({ name }) => name === before.name);
    if (after === undefined) continue;
    differ(`bind of listener ${before.name}`, addressOf(before.bind), addressOf(after.bind));
    for (const limit of [
      'handshakeTimeoutMs',
      'maxUnfinished',
      'maxUnfinishedPerSource',
      'maxConnections',
    ] as const)
      differ(`${limit} of listener ${before.name}`, before[limit], after[limit]);
  }
  if (changes.length === 0) return;
  throw new LockwireError('config', `needs a restart, so nothing of it was taken: ${changes.join('; ')}`);
}

function addressOf(
  address: { readonly host: string; readonly port: number } | undefined,
): string | undefined {
  return address === undefined ? undefined : formatAddress(address);
}

function shown(value: unknown): string {
  return value === undefined ? 'none' : String(value);
}

/** By name: what was taken away, or is not what it was. */
function changedSources(former: LoadedGatewayConfig, next: LoadedGatewayConfig): ReadonlySet<string> {
  const after = new Map<string, unknown>();
  for (const source of [...next.issuers, ...next.certificates]) after.set(source.name, source);
  const before = [...former.issuers, ...former.certificates];
  return new Set(
    before.filter(source => !isDeepStrictEqual(source, after.get(source.name))).map(({ name }) => name),
  );
}
