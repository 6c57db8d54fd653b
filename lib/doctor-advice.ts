import type { LoadedClientConfig } from './config/client.ts';
import { formatAddress } from './core/address.ts';
import { codeOf, type LockwireError } from './core/errors.ts';
import type { CloseReason } from './core/session.ts';

/** What to do about each kind of failure, in a sentence or two. */

type Way = Pick<LoadedClientConfig, 'gateway' | 'serverName' | 'forwardProxy' | 'role' | 'target'>;

export function dnsAdvice(way: Way, error: LockwireError): string {
  const { host } = way.forwardProxy ?? way.gateway;
  const flag = way.forwardProxy ? 'HTTPS_PROXY' : '--gateway';
  return codeOf(error.cause) === 'EAI_AGAIN'
    ? `The name server did not answer for ${host}. Check this machine's network and resolver, or whether a VPN has to be up.`
    : `Check the spelling of ${host} in ${flag}. If it is right, this machine's DNS does not know it: a VPN may have to be up.`;
}

export function tcpAdvice(way: Way, error: LockwireError): string {
  const place = formatAddress(hop(way));
  const code = codeOf(error.cause);
  if (code === 'ECONNREFUSED') {
    return way.forwardProxy
      ? `Nothing listens at the proxy's address ${place}: correct HTTPS_PROXY, or unset it where no proxy is wanted.`
      : `Nothing listens at ${place}: check the port, and whether the gateway runs (there: lockwire check --live FILE).`;
  }
  if (error.code === 'timeout') {
    const proxy = way.forwardProxy ? '' : ', or the network wants a proxy (HTTPS_PROXY)';
    return `Nothing answers at ${place}: a firewall drops the packets, the machine is down${proxy}.`;
  }
  return `There is no way from this machine to ${place}: check its network, routes and VPN.`;
}

export function proxyAdvice(way: Way, error: LockwireError): string {
  const { gateway } = way;
  if (/: 407 /.test(error.message))
    return 'The proxy wants another user or password: put the right ones into HTTPS_PROXY, percent-encoded.';
  if (error.code === 'denied')
    return `Ask whoever runs the proxy to allow CONNECT to ${formatAddress(gateway)}; or, where no proxy is needed, name ${gateway.host} in NO_PROXY.`;
  if (error.code === 'tls')
    return 'The proxy itself is spoken to over TLS (https:// in HTTPS_PROXY) and is not trusted here: its authority must be among the roots of this system.';
  if (error.code === 'unavailable')
    return `The proxy cannot reach ${formatAddress(gateway)}: check the name and the port, and whether the gateway runs.`;
  return 'What HTTPS_PROXY names does not answer as an HTTP proxy does: check its address, or unset it.';
}

const authorityCodes = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
]);

export function tlsAdvice(way: Way, error: LockwireError): string {
  const code = codeOf(error.cause);
  if (authorityCodes.has(code))
    return 'Give the authority of the gateway by --ca FILE. If the issuer shown is a TLS-inspecting box, have the gateway exempted from inspection instead: trusting the box does not help.';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `Dial the gateway by a name that its certificate holds, or say the right one by --server-name (now ${way.serverName}).`;
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return "Compare the dates with this machine's clock. If the clock is right, the gateway needs another certificate.";
  if (error.code === 'unavailable' || error.code === 'timeout')
    return 'TCP stands but the handshake does not: a firewall closes TLS by name or protocol, or the gateway turns this address away for a minute after many refused credentials.';
  if (/ALPN|protocols that were offered/.test(error.message))
    return 'Another TLS server answers there, or a box in between drops ALPN: check host and port of --gateway.';
  if (/does not speak TLS on this port/.test(error.message))
    return 'Another service answers on that port: check the port of --gateway.';
  return 'Both ends must agree on TLS 1.3 (or 1.2 where the listener allows it): look for a box in between, and into the log of the gateway.';
}

export function exporterAdvice(error: LockwireError): string {
  if (/pinned/.test(error.message))
    return 'Another gateway answers than the one that this instance is enrolled at. If the gateway was made anew, enrol again (there: lockwire enroll); if not, somebody else answers in its name.';
  if (error.code === 'intercepted')
    return 'A box in between ends TLS with a certificate of its own. Have the address of the gateway exempted from TLS inspection; nothing switches this check off.';
  if (error.code === 'protocol')
    return 'What answers speaks no lockwire/1: check host and port of --gateway, and the versions of both ends.';
  return 'The gateway did not begin its handshake: it may be overloaded or ending. Its log and lockwire sessions say more.';
}

export function tokenAdvice({ code }: Pick<CloseReason, 'code'>, certificate: boolean): string {
  if (code === 'revoked')
    return 'It was revoked at the gateway; only its admin can take that back (lockwire revoke).';
  if (certificate)
    return 'Show a certificate that the gateway knows the authority of (identity.certificates), valid now and for TLS clients.';
  return 'Get a new token for the audience and from the issuer that the gateway is configured with (identity.issuers), and compare the times with a right clock.';
}

export function permitAdvice(way: Way, { code, decision }: CloseReason, ownKey: boolean): string {
  if (decision)
    return `The policy of the gateway does not allow ${way.role} to ${way.target} for this principal. Its admin sees why: lockwire explain ${decision}`;
  if (code === 'unknown-target')
    return 'Check the spelling of --target against "targets" in the gateway\'s config.';
  if (code === 'denied' && !ownKey)
    return 'The doctor used a passing key, since the key of the instance does not exist yet or is in use by a running one. Where enrolment is required, stop the running one and ask again, or enrol (lockwire enroll).';
  if (code === 'denied') return 'Ask the admin of the gateway to bind this instance: lockwire enroll.';
  return 'It passes when other sessions end or the gateway has started: try again, and look into its log.';
}

export function exposerAdvice(target: string): string {
  return `Start lockwire expose --target ${target} beside the host, or look why it is down: there, lockwire doctor --role expose; at the gateway, lockwire sessions.`;
}

export function upstreamAdvice(way: Way, hostDown: boolean): string {
  if (way.role === 'expose')
    return 'Start the host, or correct --to: nothing can be served before it listens there.';
  return hostDown
    ? 'The host behind expose does not listen: start it, or correct --to of that expose (there: lockwire doctor --role expose).'
    : 'The way ends behind the gateway: its log says what it saw of the target, lockwire check --live tries the targets that it dials.';
}

/** Where TCP goes. */
function hop({ forwardProxy, gateway }: Way): { host: string; port: number } {
  const { host, port } = forwardProxy ?? gateway;
  return { host, port };
}
