import type { Connected } from '../../lib/core/session.ts';

/** The facts of a session whose upstream is connected, as a test hands them to a relay. */
export const connectedFacts: Connected = {
  session: '00112233445566ff',
  listener: 'public',
  acceptedAtMs: 1,
  peerAddress: '127.0.0.1',
  peerPort: 40_000,
  serverName: 'legacy.example',
  alpn: '',
  tlsVersion: 'TLSv1.3',
  cipher: 'TLS_AES_128_GCM_SHA256',
  resumed: false,
  principal: { kind: 'workload', source: 'ci', name: 'spiffe://example/job', groups: [] },
  credential: { kind: 'certificate', id: 'ab', issuedAtMs: 0, expiresAtMs: 9e12 },
  action: 'connect',
  target: 'legacy',
  rule: 'permit-ci',
  upstream: 'tls://10.0.0.5:7443',
  connectedAtMs: 2,
};
