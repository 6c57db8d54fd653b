import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { parseCertificate } from '../../../lib/access/identity/certificate.ts';
import { parseCrl, signedBy } from '../../../lib/access/identity/crl.ts';
import { derTags, readChildren, readDer, readTime, toHex } from '../../../lib/access/identity/der.ts';
import { makeAuthority } from '../../support/transport-certificates.ts';

/** An element with the shortest length, as DER wants it. */
function element(tag: number, content: Uint8Array): Buffer {
  const { byteLength } = content;
  const long = byteLength < 0x80 ? [] : [...Buffer.from(byteLength.toString(16).padStart(8, '0'), 'hex')];
  while (long[0] === 0) long.shift();
  const length = byteLength < 0x80 ? [byteLength] : [0x80 | long.length, ...long];
  return Buffer.concat([Buffer.of(tag, ...length), content]);
}

t.test('elements of 0, 127, 128, 255, 256 and 65,536 B are read back', async t => {
  for (const bytes of [0, 127, 128, 255, 256, 65_536]) {
    const content = randomBytes(bytes);
    const read = readDer(element(0x04, content));
    t.ok(content.equals(read.content), String(bytes));
    const outer = readChildren(readDer(element(0x30, Buffer.concat([read.whole, read.whole]))), 0x30);
    t.same(
      outer.map(child => child.content.byteLength),
      [bytes, bytes],
    );
  }
});

t.test(
  'what is BER and not DER is refused: indefinite, long and cut lengths, high tags, bytes behind',
  async t => {
    const wrong: Record<string, string> = {
      empty: '',
      'tag only': '04',
      indefinite: '308004000000',
      'long form below 128': '04810100',
      'leading zero': '0482008000',
      'five bytes of length': '04850000000001ff',
      'past the end': '040201',
      'high tag number': '1f810100',
      'bytes behind': '04010000',
    };
    for (const [name, hex] of Object.entries(wrong)) t.throws(() => readDer(Buffer.from(hex, 'hex')), name);
    t.same(toHex(readDer(Buffer.from('040100', 'hex')).content), '00');
  },
);

t.test('times are read in the two forms of RFC 5280 and no other', async t => {
  const at = (tag: number, text: string): number => readTime(readDer(element(tag, Buffer.from(text))));
  t.equal(at(derTags.utcTime, '491231235959Z'), Date.UTC(2049, 11, 31, 23, 59, 59));
  t.equal(at(derTags.utcTime, '500101000000Z'), Date.UTC(1950, 0, 1));
  t.equal(at(derTags.generalizedTime, '20500101000000Z'), Date.UTC(2050, 0, 1));
  t.equal(at(derTags.generalizedTime, '99991231235959Z'), Date.UTC(9999, 11, 31, 23, 59, 59));
  for (const [tag, text] of [
    [derTags.utcTime, '4912312359Z'],
    [derTags.utcTime, '20491231235959Z'],
    [derTags.generalizedTime, '491231235959Z'],
    [derTags.generalizedTime, '20500101000000.5Z'],
    [derTags.generalizedTime, '20500101000000+0100'],
    [derTags.octetString, '491231235959Z'],
  ] as const)
    t.throws(() => at(tag, text), text);
});

t.test('random bytes end in an error, never in anything else', async _t => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(bytes, input => {
      for (const parse of [readDer, parseCertificate, parseCrl]) {
        try {
          parse(input);
        } catch (error) {
          if (!(error instanceof Error) || error instanceof RangeError) return false;
        }
      }
      return true;
    }),
    { numRuns: 2000 },
  );
});

t.test('a changed revocation list is never signed', async t => {
  const authority = await makeAuthority({ name: 'CA' });
  const pem = await authority.crl({ serials: ['01', '7f', '00ff', '0123456789abcdef'] });
  const der = Buffer.from(pem.replace(/-----.*-----/g, ''), 'base64');
  const issuer = parseCertificate(authority.der);
  const crl = parseCrl(der);
  t.ok(signedBy(crl, issuer));
  t.same([...crl.revoked].sort(), ['00ff', '01', '0123456789abcdef', '7f']);
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(der);
      changed[at] = (changed[at] ?? 0) ^ flip;
      try {
        return !signedBy(parseCrl(changed), issuer);
      } catch (error) {
        return error instanceof Error;
      }
    }),
    { numRuns: 1000 },
  );
});

t.test('a list of 50,000 entries is read', async t => {
  const date = element(derTags.utcTime, Buffer.from('260101000000Z'));
  const entries = Buffer.concat(
    Array.from({ length: 50_000 }, (_, i) => {
      const serial = Buffer.from((i + 0x10000000).toString(16), 'hex');
      return element(0x30, Buffer.concat([element(0x02, serial), date]));
    }),
  );
  const algorithm = element(0x30, element(0x06, Buffer.from('2b6570', 'hex')));
  const tbs = element(
    0x30,
    Buffer.concat([algorithm, element(0x30, Buffer.alloc(0)), date, date, element(0x30, entries)]),
  );
  const list = element(0x30, Buffer.concat([tbs, algorithm, element(0x03, Buffer.alloc(65))]));
  t.equal(parseCrl(list).revoked.size, 50_000);
});

t.test('a delta, partial, indirect or endless list is refused', async t => {
  const date = element(derTags.utcTime, Buffer.from('260101000000Z'));
  const algorithm = element(0x30, element(0x06, Buffer.from('2b6570', 'hex')));
  const name = element(0x30, Buffer.alloc(0));
  const critical = (oid: string): Buffer =>
    element(
      0x30,
      Buffer.concat([
        element(0x06, Buffer.from(oid, 'hex')),
        Buffer.of(1, 1, 0xff),
        element(0x04, Buffer.of(5, 0)),
      ]),
    );
  const list = (...rest: Buffer[]): Buffer => {
    const tbs = element(0x30, Buffer.concat([algorithm, name, date, ...rest]));
    return element(0x30, Buffer.concat([tbs, algorithm, element(0x03, Buffer.alloc(65))]));
  };
  const entry = (oid: string): Buffer =>
    element(
      0x30,
      element(0x30, Buffer.concat([element(0x02, Buffer.of(1)), date, element(0x30, critical(oid))])),
    );
  t.match(parseCrl(list(date)), { revoked: new Set() });
  t.match(parseCrl(list(date, entry('551d15'))), { revoked: new Set(['01']) }, 'a critical reason code');
  t.throws(() => parseCrl(list()), /no nextUpdate/);
  for (const oid of ['551d1b', '551d1c'])
    t.throws(() => parseCrl(list(date, element(0xa0, element(0x30, critical(oid))))), /delta and partial/);
  t.throws(() => parseCrl(list(date, entry('551d1d'))), /indirect/);
});
