/** Development material is marked, so that nothing made by `lockwire up` is ever taken for the real thing. */

/** Issuer of development tokens: this and a random part. `.invalid` never resolves (RFC 2606). */
export const developmentIssuerPrefix = 'https://dev.lockwire.invalid/';

/** Marker extension of development certificates, an arc made from a UUID (ITU-T X.667): no registry needed. */
export const developmentMarkerOid = '2.25.171838921';

// 06 len | 0x69 (2.25 = 2*40+25) | base-128 of 171838921
const markerDer = Buffer.from('060569d1f89b49', 'hex');

/** True where the certificate (DER) carries the marker extension. */
export function hasDevelopmentMarker(der: Uint8Array): boolean {
  return Buffer.from(der.buffer, der.byteOffset, der.byteLength).includes(markerDer);
}
