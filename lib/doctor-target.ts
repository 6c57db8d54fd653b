import type { LoadedClientConfig } from './config/client.ts';
import { formatAddress } from './core/address.ts';
import type { Clock } from './core/clock.ts';
import { messageOf } from './core/errors.ts';
import type { CloseReason } from './core/session.ts';
import { exposerAdvice, permitAdvice, upstreamAdvice } from './doctor-advice.ts';
import type { Walk } from './doctor-report.ts';
import { hostOutOfReach, noExposeServes } from './stream-refusals.ts';
import { boundAddresses } from './transport/bound-addresses.ts';
import { dialLocal } from './transport/local.ts';
import type { TunnelSession } from './tunnel/session.ts';

interface TargetPorts {
  readonly clock: Clock;
}

/** How long the target may take to take a stream up: more than its expose takes to dial the host. */
const openedWithinMs = 15_000;
/** How long the host gets to close the connection that was made to it. */
const farewellMs = 1_000;

type Outcome = 'opened' | 'silent' | CloseReason;

/** Permit, exposer and host, by one stream that is closed as soon as it was taken up. */
export async function lookThroughStream(
  config: LoadedClientConfig,
  session: TunnelSession,
  ownKey: boolean,
  { clock }: TargetPorts,
  walk: Walk,
): Promise<void> {
  const { target } = config;
  const outcome = await open(session, target, clock).catch(
    // The session ended meanwhile, or takes no more streams.
    (error: unknown): Outcome => ({ code: 'unavailable', text: messageOf(error) }),
  );
  if (outcome === 'opened') {
    walk.ok('permit', `may connect to target ${target}`);
    walk.ok('exposer', `target ${target} is served`);
    walk.ok('upstream', 'the host took the connection; it was closed again without a byte sent');
    return;
  }
  if (outcome === 'silent') {
    walk.ok('permit', `may connect to target ${target}`);
    walk.skip('exposer', 'not known: no answer');
    const seen = `the connection was neither taken up nor refused within ${openedWithinMs} ms`;
    return walk.fail('upstream', seen, upstreamAdvice(config, false));
  }
  const { code, text, decision } = outcome;
  if (code === 'denied' || code === 'unknown-target' || decision)
    return walk.fail('permit', text || code, permitAdvice(config, outcome, ownKey));
  walk.ok('permit', `may connect to target ${target}`);
  if (text.includes(noExposeServes(target))) return walk.fail('exposer', text, exposerAdvice(target));
  const hostDown = text.includes(hostOutOfReach);
  if (hostDown) walk.ok('exposer', `an expose serves target ${target}`);
  else walk.skip('exposer', 'not known');
  walk.fail('upstream', text || code, upstreamAdvice(config, hostDown));
}

/**
 * The ingress is `unix`, which asks for no preface of HTTP/2: there is no port behind this stream that a web page could
 * have used, and nothing is ever written to it.
 */
async function open(session: TunnelSession, target: string, clock: Clock): Promise<Outcome> {
  const { promise: outcome, resolve } = Promise.withResolvers<Outcome>();
  const { promise: closed, resolve: tellClosed } = Promise.withResolvers<void>();
  const stream = session.open(target, 'unix', () => resolve('opened'));
  stream.start({
    // A gRPC server speaks at once; what it says is not looked at.
    data: chunk => stream.consume(chunk.byteLength),
    end() {},
    flushed() {},
    closed: reason => {
      resolve(reason);
      tellClosed();
    },
  });
  const silence = clock.after(openedWithinMs, () => resolve('silent'));
  const result = await outcome;
  silence.cancel();
  // An orderly end first: to the host it is a client that came and went.
  stream.end();
  const over = clock.after(farewellMs, tellClosed);
  await closed;
  over.cancel();
  stream.reset({ code: 'cancelled', text: 'lockwire doctor has seen it' });
  return result;
}

/** What an expose is to serve, looked at from this machine: whatever the gateway says, it must be there. */
export async function lookAtHost(
  config: LoadedClientConfig,
  { clock }: TargetPorts,
  walk: Walk,
): Promise<void> {
  const { local, requireNoBypass } = config;
  const address = formatAddress(local);
  try {
    const carrier = await dialLocal(local, { clock });
    carrier.start({ data() {}, end() {}, closed() {} });
    carrier.destroy();
  } catch (error) {
    return walk.fail('upstream', messageOf(error), upstreamAdvice(config, true));
  }
  const past = local.kind === 'tcp' ? await waysPast(local.port) : '';
  if (past !== '' && requireNoBypass)
    return walk.fail('upstream', `${address} ${past}`, `${bypassAdvice} (--require-no-bypass).`);
  walk.ok(
    'upstream',
    past === '' ? `${address} takes connections` : `${address} takes connections; WARNING: it ${past}`,
  );
}

const bypassAdvice = 'Bind the host to 127.0.0.1 or to a unix socket; expose refuses to serve it as it is';

async function waysPast(port: number): Promise<string> {
  try {
    const { beyond } = await boundAddresses(port);
    return beyond.length === 0 ? '' : `can be reached past lockwire, on ${beyond.join(', ')}`;
  } catch (error) {
    return `may be reached past lockwire, nobody can tell: ${messageOf(error)}`;
  }
}
