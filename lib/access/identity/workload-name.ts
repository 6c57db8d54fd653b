import { altNameKinds, type Certificate, textNames } from './certificate.ts';
import { maxDnsNameChars } from './options.ts';
import { Refusal } from './refusal.ts';
import { parseSpiffeId } from './spiffe.ts';

/** The one name of a workload: its SPIFFE ID, else its first DNS name. Throws Refusal where it has neither. */
export function workloadName([leaf, ...issuers]: readonly Certificate[]): string {
  if (leaf === undefined) throw new Refusal('malformed', 'no certificate');
  const uris = textNames(leaf, altNameKinds.uri);
  // X509-SVID section 2: exactly one URI name; of several, each reader might choose another.
  if (uris.length > 1) throw new Refusal('name', `certificate has ${uris.length} URI names, one is allowed`);
  const [uri] = uris;
  if (uri !== undefined) return spiffeName(uri, issuers);
  const [dns] = textNames(leaf, altNameKinds.dns);
  if (dns === undefined) throw new Refusal('name', 'certificate has neither a URI nor a DNS name');
  return dnsName(dns);
}

function spiffeName(uri: string, issuers: readonly Certificate[]): string {
  const { trustDomain, path } = parseSpiffeId(uri);
  if (path === '') throw new Refusal('name', `SPIFFE ID '${uri}' names a trust domain, not a workload`);
  // A CA with a SPIFFE ID of its own vouches for its own trust domain only (X509-SVID section 4.2).
  for (const issuer of issuers) {
    for (const name of textNames(issuer, altNameKinds.uri)) {
      if (name.startsWith('spiffe:') && parseSpiffeId(name).trustDomain !== trustDomain)
        throw new Refusal('name', `SPIFFE ID '${uri}' is of another trust domain than its CA '${name}'`);
    }
  }
  return uri;
}

function dnsName(dns: string): string {
  const name = dns.toLowerCase();
  const label = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
  // A wildcard names many hosts, so nobody in particular.
  if (name.length > maxDnsNameChars || !new RegExp(`^${label}(?:\\.${label})*$`).test(name))
    throw new Refusal('name', 'the first DNS name of the certificate is not a host name');
  return name;
}
