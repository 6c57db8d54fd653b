/**
 * The HTTP/2 relay in a process of its own, so that its memory can be measured. First message in `ChildSettings`, first
 * message out a port for each principal; each `report` is answered after a collection.
 */
import { HeldBudget } from '../../lib/relay/http2/held-budget.ts';
import { type Http2Limits, http2Defaults } from '../../lib/relay/http2/options.ts';
import type { Refusal } from '../../lib/relay/http2/refusal.ts';
import { sharedUpstream, type UpstreamOptions } from '../../lib/relay/http2/upstreams.ts';
import { type Rig, startRig } from './http2-rig.ts';

export interface ChildSettings {
  readonly backendPort: number;
  readonly principals: readonly string[];
  readonly limits?: Partial<Http2Limits>;
  /** No limit at all: what an attack does where nobody looks. */
  readonly unlimited?: boolean;
  readonly heldBytes?: number;
  readonly shared?: Partial<UpstreamOptions>;
  /** Nobody has a share of what is shared. */
  readonly unshared?: boolean;
}

export interface ChildReport {
  readonly rss: number;
  /** Heap and buffers, after a collection. */
  readonly bytes: number;
  readonly heldBytes: number;
  readonly live: number;
  readonly upstreamConnections: number;
  readonly refusals: readonly string[];
  readonly ended: readonly string[];
}

const none = Number.MAX_SAFE_INTEGER;
const unlimited: Partial<Http2Limits> = {
  frames: { ...http2Defaults.frames, maxHeaderBlockBytes: none, maxContinuations: none },
  headers: { ...http2Defaults.headers, maxListBytes: 16_777_216, maxFields: none, maxCrumbs: none },
  maxConcurrentStreams: 2_147_483_647,
  maxOutputBytes: none,
  flood: { resets: { burst: none, perSecond: 0 }, idleFrames: { burst: none, perSecond: 0 } },
};

const unshared: Partial<UpstreamOptions> = { maxStreamsPerPrincipal: Number.POSITIVE_INFINITY };

const rigs: Rig[] = [];

process.on('message', message => {
  if (message === 'report') report();
  else void start(message as ChildSettings);
});
process.on('disconnect', () => process.exit(0));

async function start(settings: ChildSettings): Promise<void> {
  const held = new HeldBudget(settings.unlimited ? none : settings.heldBytes);
  const limits = { ...(settings.unlimited ? unlimited : {}), ...settings.limits };
  for (const principal of settings.principals) {
    const upstreams = rigs[0]?.shared;
    const where = upstreams
      ? { upstreams }
      : settings.shared
        ? { shared: { ...sharedUpstream, ...settings.shared, ...(settings.unshared ? unshared : {}) } }
        : {};
    rigs.push(
      await startRig(settings.backendPort, { limits, held, principal, forgetsHeads: true, ...where }),
    );
  }
  process.send?.({ ports: rigs.map(({ port }) => port) });
}

function report(): void {
  globalThis.gc?.();
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  const text = ({ reason }: Pick<Refusal, 'reason'>): string => `${reason.code}: ${reason.text}`;
  process.send?.({
    rss,
    bytes: heapUsed + external,
    heldBytes: rigs[0]?.held.heldBytes ?? 0,
    live: rigs.flatMap(({ relays }) => relays).reduce((sum, { liveCount }) => sum + liveCount, 0),
    upstreamConnections: rigs[0]?.shared?.connectionCount ?? 0,
    refusals: rigs.flatMap(({ refusals }) => refusals.map(({ refusal }) => text(refusal))),
    ended: rigs.flatMap(({ ended }) => ended.map(text)),
  } satisfies ChildReport);
}
